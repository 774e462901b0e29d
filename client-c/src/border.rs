//! Everything that a caller can do wrong with a pointer or a size, in one place.
//!
//! The callers of these functions pass on what C gave them. What is checked here: null, alignment, sizes that
//! no object has. What cannot be checked is the caller's promise: that a pointer that is not null points to as
//! much memory as it says, which nobody else writes meanwhile.

use std::ffi::{CStr, c_char};

use crate::status::{Failure, NinefoldStatus, Outcome};

/// Bytes of the longest text that is read: a path.
const TEXT_BYTES_MAX: usize = 4_096;

/// A struct that C sees: plain numbers, and `size` first.
///
/// # Safety
/// The struct is `repr(C)`, begins with `size: u32`, and holds nothing but integers, floats and enums, so that
/// its bytes may be copied, and all-zero bytes are a valid one.
pub(crate) unsafe trait Sized32: Copy {
    /// Bytes of the first version of it, to its last field: less cannot be told from a mistake.
    const SIZE_MIN: usize;
    /// Sets `size`.
    fn set_size(&mut self, size: u32);
}

/// Refuses what is null or not aligned.
pub(crate) fn check<T>(pointer: *const T, name: &str) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(Failure::new(NinefoldStatus::Null, format_args!("{name} is NULL")));
    }
    if !pointer.is_aligned() {
        return Err(Failure::new(NinefoldStatus::Misaligned, format_args!("{name} is not aligned")));
    }
    Ok(())
}

/// The `size` of a struct of the caller's. Ask before anything is taken that would be lost otherwise.
///
/// # Safety
/// If `pointer` is not null, four bytes can be read there.
pub(crate) unsafe fn size_of_theirs<T: Sized32>(pointer: *const T, name: &str) -> Result<usize, Failure> {
    check(pointer, name)?;
    // SAFETY: checked not to be null and aligned for T, which begins with a u32; the caller's promise.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    if size < T::SIZE_MIN {
        let words = format_args!("{name}->size is {size}, set it to sizeof, at least {}", T::SIZE_MIN);
        return Err(Failure::new(NinefoldStatus::Size, words));
    }
    Ok(size)
}

/// Writes a struct of which the caller's version may be older or newer: as many bytes as both know. `size` then
/// says how many.
///
/// # Safety
/// If `out` is not null, it points to a `u32` and, from there, to as many writable bytes as that says.
pub(crate) unsafe fn write<T: Sized32>(out: *mut T, mut value: T, name: &str) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let size = unsafe { size_of_theirs(out.cast_const(), name)? }.min(size_of::<T>());
    value.set_size(size as u32);
    // SAFETY: `size` is no more than either of them has; T is plain.
    unsafe { std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), out.cast::<u8>(), size) };
    Ok(())
}

/// Reads a struct of which the caller's version may be older: what it does not know is `default`'s.
///
/// # Safety
/// If `pointer` is not null, it points to a `u32` and, from there, to as many readable bytes as that says, of
/// which those that T has are initialised.
pub(crate) unsafe fn read<T: Sized32>(pointer: *const T, default: T, name: &str) -> Result<T, Failure> {
    // SAFETY: the caller's promise.
    let size = unsafe { size_of_theirs(pointer, name)? }.min(size_of::<T>());
    let mut value = default;
    // SAFETY: `size` is no more than either of them has; T is plain, and any bytes are one.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast::<u8>(), size) };
    Ok(value)
}

/// Writes one value of a type that never changes.
///
/// # Safety
/// If `out` is not null, a T can be written there.
pub(crate) unsafe fn put<T: Copy>(out: *mut T, value: T, name: &str) -> Result<(), Failure> {
    check(out.cast_const(), name)?;
    // SAFETY: not null, aligned; the caller's promise.
    unsafe { out.write(value) };
    Ok(())
}

/// Reads three numbers.
///
/// # Safety
/// If `pointer` is not null, three can be read there.
pub(crate) unsafe fn get(pointer: *const f64, name: &str) -> Result<[f64; 3], Failure> {
    // SAFETY: the caller's promise; any bits are numbers.
    unsafe { one(pointer.cast::<[f64; 3]>(), name) }
}

/// Reads one value of a type of which all bit patterns are valid.
///
/// # Safety
/// If `pointer` is not null, a T can be read there, and any bytes are one.
pub(crate) unsafe fn one<T: Copy>(pointer: *const T, name: &str) -> Result<T, Failure> {
    check(pointer, name)?;
    // SAFETY: not null, aligned; the caller's promise.
    Ok(unsafe { pointer.read() })
}

/// Bytes of the caller's.
///
/// # Safety
/// If `pointer` is not null, `length` initialised bytes can be read there for as long as the result lives.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, length: usize, name: &str) -> Result<&'a [u8], Failure> {
    check(pointer, name)?;
    check_length(length, name)?;
    // SAFETY: not null, and a length that an object can have; the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Bytes of the caller's to change.
///
/// # Safety
/// As [`bytes`], and nobody else reads or writes them meanwhile.
pub(crate) unsafe fn bytes_mut<'a>(
    pointer: *mut u8,
    length: usize,
    name: &str,
) -> Result<&'a mut [u8], Failure> {
    check(pointer.cast_const(), name)?;
    check_length(length, name)?;
    // SAFETY: not null, and a length that an object can have; the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, length) })
}

fn check_length(length: usize, name: &str) -> Result<(), Failure> {
    if isize::try_from(length).is_err() {
        return Err(Failure::new(
            NinefoldStatus::Argument,
            format_args!("{name}: nothing has {length} bytes"),
        ));
    }
    Ok(())
}

/// A text of the caller's.
///
/// # Safety
/// If `pointer` is not null, it points to a terminated text that lives as long as the result.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Failure> {
    check(pointer, name)?;
    // SAFETY: not null; the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    if text.count_bytes() > TEXT_BYTES_MAX {
        let words = format_args!("{name} is longer than {TEXT_BYTES_MAX} bytes");
        return Err(Failure::new(NinefoldStatus::Argument, words));
    }
    text.to_str().map_err(|_| Failure::new(NinefoldStatus::Argument, format_args!("{name} is not UTF-8")))
}

/// Fills the caller's array with as many items as have room, and tells how many there are. Without room the array
/// may be null.
///
/// # Safety
/// If `out` is not null, `room` items can be written there; if `count` is not null, a size.
pub(crate) unsafe fn fill<T: Copy>(
    out: *mut T,
    room: usize,
    items: impl ExactSizeIterator<Item = T>,
    count: *mut usize,
    name: &str,
) -> Outcome {
    let there_are = items.len();
    // SAFETY: the caller's promise.
    unsafe { put(count, there_are, "count")? };
    if room > 0 {
        check(out.cast_const(), name)?;
        check_length(room.saturating_mul(size_of::<T>()), name)?;
    }
    for (at, item) in items.take(room).enumerate() {
        // SAFETY: not null and aligned, since room is not 0; `at` is below `room`; the caller's promise.
        unsafe { out.add(at).write(item) };
    }
    Ok(if there_are > room { NinefoldStatus::Short } else { NinefoldStatus::Ok })
}
