//! Events that come once each, however often the server says them.

/// Events behind the newest one that are still told apart; older ones count as told.
const WINDOW: u16 = 128;

/// Which events were told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Happened {
    /// The newest number.
    newest: Option<u16>,
    /// Bit n: the event n before the newest one was told.
    told: u128,
}

impl Happened {
    /// Whether an event with this number is new.
    pub fn is_new(&mut self, number: u16) -> bool {
        let Some(newest) = self.newest else {
            (self.newest, self.told) = (Some(number), 1);
            return true;
        };
        let ahead = number.wrapping_sub(newest);
        if ahead == 0 {
            return false;
        }
        if ahead < u16::MAX / 2 {
            self.told = self.told.checked_shl(ahead.into()).unwrap_or(0) | 1;
            self.newest = Some(number);
            return true;
        }
        let behind = newest.wrapping_sub(number);
        if behind >= WINDOW || self.told & (1 << behind) != 0 {
            return false;
        }
        self.told |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_number_is_new_once_in_any_order_and_over_the_wrap() {
        let mut happened = Happened::default();
        let numbers = [65_530, 65_535, 65_531, 2, 0, 65_535, 2, 1, 65_530, 1];
        let new = numbers.map(|number| happened.is_new(number));
        assert_eq!(new, [true, true, true, true, true, false, false, true, false, false]);
    }

    #[test]
    fn what_is_too_old_counts_as_told() {
        let mut happened = Happened::default();
        assert!(happened.is_new(1_000) && happened.is_new(1_000 + WINDOW));
        assert!(!happened.is_new(1_000) && happened.is_new(1_001));
        assert!(happened.is_new(20_000) && !happened.is_new(1_002));
    }

    proptest! {
        #[test]
        fn none_is_told_twice(steps in proptest::collection::vec((0..100_u16, 0..3_u16), 1..400)) {
            let mut happened = Happened::default();
            let mut told = std::collections::BTreeSet::new();
            let mut number = 0_u16;
            for (back, on) in steps {
                number += on;
                let said = number.saturating_sub(back);
                // Within the window of the newest one that was told.
                let is_new = happened.is_new(said);
                prop_assert_eq!(is_new, told.insert(said), "{}", said);
            }
        }
    }
}
