//! How often, and after which pause, a failed request is tried again.

use std::time::Duration;

use super::error::{RegistryError, Retry};

/// Tries in all without any progress.
const TRIES: u32 = 5;
/// The first pause; each one after it is twice as long.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A registry that asks for a longer wait than this is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Counts the failures since the last progress.
#[derive(Debug, Clone)]
pub(super) struct Tries {
    failed: u32,
    first_pause: Duration,
}

impl Tries {
    pub(super) fn new(first_pause: Duration) -> Self {
        Self { failed: 0, first_pause }
    }

    /// Forgets the failures: something has arrived since.
    pub(super) fn progress(&mut self) {
        self.failed = 0;
    }

    /// Waits until the next try.
    ///
    /// # Errors
    /// `error` itself, where trying again makes no sense (any more).
    pub(super) async fn wait_after(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let Some(pause) = self.pause_after(error.kind.retry()) else { return Err(error) };
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn pause_after(&mut self, retry: Retry) -> Option<Duration> {
        self.failed += 1;
        let (tries, asked) = match retry {
            Retry::Never => return None,
            Retry::Once => (2, None),
            Retry::Later(asked) => (TRIES, asked),
        };
        let own = self.first_pause * 2_u32.pow(self.failed.min(TRIES) - 1);
        let pause = asked.map_or(own, |asked| asked.max(own));
        (self.failed < tries && pause <= LONGEST_WAIT).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(retries: impl IntoIterator<Item = Retry>) -> Vec<Option<u64>> {
        let mut tries = Tries::new(Duration::from_secs(1));
        retries.into_iter().map(|retry| tries.pause_after(retry).map(|pause| pause.as_secs())).collect()
    }

    #[test]
    fn pauses_double_and_end() {
        assert_eq!(pauses([Retry::Later(None); 5]), [Some(1), Some(2), Some(4), Some(8), None]);
        assert_eq!(pauses([Retry::Once; 2]), [Some(1), None]);
        assert_eq!(pauses([Retry::Never]), [None]);
    }

    #[test]
    fn a_wait_that_the_registry_asks_for_is_kept_unless_it_is_long() {
        assert_eq!(pauses([Retry::Later(Some(Duration::from_secs(30)))]), [Some(30)]);
        assert_eq!(pauses([Retry::Later(Some(Duration::from_secs(3600)))]), [None]);
    }

    #[test]
    fn progress_starts_the_count_anew() {
        let mut tries = Tries::new(Duration::from_secs(1));
        for _ in 0..20 {
            assert_eq!(tries.pause_after(Retry::Later(None)), Some(Duration::from_secs(1)));
            tries.progress();
        }
    }
}
