//! The header that is committed is the one that the sources make.

use std::path::Path;

use cbindgen::{Builder, Config, DocumentationStyle, EnumConfig, Language, RenameRule, Style};

const SOURCES: [&str; 7] = [
    "src/lib.rs",
    "src/status.rs",
    "src/config.rs",
    "src/handle.rs",
    "src/session.rs",
    "src/play.rs",
    "src/world.rs",
];

const OPENING: &str = "\
/* The ninefold client library for C.
 *
 * Written by cbindgen from client-c/src; change it there, then
 *     cargo test -p ninefold-client-c --test header -- --ignored
 *
 * Each frame, with a socket of the library's:
 *
 *     ninefold_client_set_input(client, ...);                        what the player wants
 *     ninefold_client_step(client);                                  receive, let time pass, send
 *     while (ninefold_client_poll_event(client, &event) == 0) ...    what happened
 *     ninefold_client_own(client, &own); ninefold_client_entities(client, ...);   draw
 *
 * With the game's own socket, in place of the step:
 *
 *     ninefold_client_handle_datagram(client, now, ...);             for each that came
 *     ninefold_client_handle_timeout(client, now);
 *     while (ninefold_client_poll_transmit(client, now, ...) == 0) ... send it
 *
 * What holds for all functions:
 *
 * - They return a NinefoldStatus: 0 is success, a positive one no mistake (nothing there, buffer too short), a
 *   negative one a mistake, of which ninefold_client_error knows more. None of them blocks but
 *   ninefold_client_wait, and ninefold_client_free of a QUIC client for at most 0.1 s.
 * - All memory is the caller's: buffers, arrays, structs. Nothing that the library returns has to be freed but
 *   clients. Pointers that a function is given are used during the call alone.
 * - A struct with a `size` begins with it: set it to sizeof before each call that fills it. An older program gets
 *   what it knows; after the call `size` says how many bytes the library filled. Structs without it never change.
 * - Arrays come with their `room` and a `count`, which becomes how many there are, whether or not they fitted.
 *   NINEFOLD_STATUS_SHORT says that they did not. Room 0 asks for the count.
 * - A pointer that is NULL, not aligned, or to a struct of a wrong size is refused. Every other pointer must point to
 *   as much memory as the call says.
 * - A client is for one thread at a time; a second call meanwhile is refused with NINEFOLD_STATUS_BUSY.
 *   Different clients know nothing of each other.
 * - No failure inside the library ends the program or unwinds into it: the call returns NINEFOLD_STATUS_PANIC, and
 *   the client can only be freed.
 * - Texts are UTF-8. Lengths are in units: a chunk is 1,024 units wide, a player 56 high. x is east,
 *   y up, z south; a place in the world is 1,024 * cx + x, 1,024 * cz + z of a place in a chunk.
 */";

fn generated() -> String {
    let config = Config {
        language: Language::C,
        header: Some(OPENING.into()),
        include_guard: Some("NINEFOLD_H".into()),
        cpp_compat: true,
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        style: Style::Both,
        documentation_style: DocumentationStyle::C99,
        line_length: 100,
        enumeration: EnumConfig {
            rename_variants: RenameRule::QualifiedScreamingSnakeCase,
            ..EnumConfig::default()
        },
        usize_is_size_t: true,
        ..Config::default()
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let builder =
        SOURCES.iter().fold(Builder::new().with_config(config), |b, file| b.with_src(folder.join(file)));
    let mut bytes = Vec::new();
    builder.generate().expect("the sources can be read").write(&mut bytes);
    String::from_utf8(bytes).expect("a header is text")
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/ninefold.h")
}

#[test]
fn the_header_is_the_one_that_the_sources_make() {
    let committed = std::fs::read_to_string(path()).expect("there is a header");
    assert!(
        committed == generated(),
        "include/ninefold.h is not fresh: cargo test -p ninefold-client-c --test header -- --ignored"
    );
}

#[test]
fn every_function_and_field_is_explained() {
    let header = generated();
    let lines: Vec<&str> = header.lines().collect();
    let functions = lines
        .iter()
        .filter(|line| line.contains("ninefold_") && line.contains('(') && !line.starts_with(' '));
    assert!(functions.clone().count() > 20);
    for (at, line) in lines.iter().enumerate() {
        let is_function =
            !line.starts_with([' ', '/', '*', '#']) && line.contains("ninefold_") && line.contains('(');
        if is_function {
            assert!(lines[at - 1].starts_with("// "), "{line}");
        }
    }
}

#[test]
fn it_reads_as_c_and_as_c_plus_plus() {
    for (compiler, arguments) in [("cc", ["-std=c11", "-xc"]), ("c++", ["-std=c++17", "-xc++"])] {
        let mut command = std::process::Command::new(compiler);
        command.args(arguments).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]);
        match command.arg(path()).output() {
            Ok(output) => {
                assert!(output.status.success(), "{compiler}: {}", String::from_utf8_lossy(&output.stderr));
            }
            // Rust brings a C compiler with it, not one for C++.
            Err(error) => assert!(compiler == "c++", "{compiler}: {error}"),
        }
    }
}

#[test]
#[ignore = "writes include/ninefold.h"]
fn the_header_is_written_anew() {
    std::fs::create_dir_all(path().parent().unwrap()).unwrap();
    std::fs::write(path(), generated()).unwrap();
}
