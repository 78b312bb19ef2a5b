//! The budget for the bodies of requests that are kept in memory
//! ([`Limits::bodies`](super::Limits::bodies), [design law 7]).
//!
//! [design law 7]: crate::spec#law-7

use std::fmt;
use std::sync::Arc;

use super::settings::HttpSettings;

/// The part of the budget that one body uses. It gives its bytes back when it is dropped, so it goes
/// wherever the body goes.
pub(super) struct BodyShare {
    /// The limit, and the sum of all bodies.
    settings: Arc<HttpSettings>,
    /// The bytes of this body.
    bytes: usize,
}

impl BodyShare {
    /// Begins to count a body of which nothing has arrived.
    pub(super) fn nothing(settings: &Arc<HttpSettings>) -> BodyShare {
        BodyShare {
            settings: Arc::clone(settings),
            bytes: 0,
        }
    }

    /// Counts `bytes` of a body, whether or not there is room for them. Use it where nobody can be
    /// refused any more.
    pub(super) fn anyway(settings: &Arc<HttpSettings>, bytes: usize) -> BodyShare {
        settings.counters.keep_anyway(bytes);
        BodyShare {
            settings: Arc::clone(settings),
            bytes,
        }
    }

    /// Counts `bytes` of a body, if there is room for them.
    pub(super) fn of(settings: &Arc<HttpSettings>, bytes: usize) -> Option<BodyShare> {
        let mut share = BodyShare::nothing(settings);
        share.grow(bytes).then_some(share)
    }

    /// Counts `more` bytes, if there is room for them. Returns whether there was.
    ///
    /// There is always room for a single body, because its own limit is enough to bound it.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let HttpSettings {
            limits, counters, ..
        } = &*self.settings;
        let granted = counters.keep(more, self.bytes, limits.bodies);
        if granted {
            self.bytes += more;
        }
        granted
    }

    /// Gives all its bytes back.
    pub(super) fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.settings.counters.give_back(bytes);
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl fmt::Debug for BodyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyShare").field(&self.bytes).finish()
    }
}

/// Returns whether there would be room for `bytes` now.
pub(super) fn has_room(settings: &HttpSettings, bytes: u64) -> bool {
    let kept = settings.counters.body_bytes();
    let limit = settings.limits.bodies as u64;
    kept == 0 || bytes.saturating_add(kept as u64) <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Design law 7: the sum is exact, and is bounded, except for a single body.
    #[test]
    fn the_budget_is_shared_and_given_back() {
        let mut settings = HttpSettings::default();
        settings.limits.bodies = 10;
        let settings = Arc::new(settings);
        let total = || settings.stats().body_bytes;
        let mut first = BodyShare::nothing(&settings);
        assert!(first.grow(4));
        assert!(has_room(&settings, 6) && !has_room(&settings, 7));
        let mut second = BodyShare::of(&settings, 6).expect("there is room");
        assert!(!second.grow(1) && !first.grow(1));
        assert!(second.grow(0));
        assert!(BodyShare::of(&settings, 1).is_none());
        assert_eq!(total(), 10, "what is refused is not counted");
        drop(second);
        assert_eq!(total(), 4);
        assert!(first.grow(1000), "it is the only one");
        assert!(BodyShare::of(&settings, 1).is_none());
        let third = BodyShare::anyway(&settings, 5);
        assert_eq!(total(), 1009);
        drop((first, third));
        assert_eq!(total(), 0);
        assert!(has_room(&settings, u64::MAX), "it would be the only one");
    }
}
