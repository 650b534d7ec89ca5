//! How often, and after which pause, a failed request is tried again.

use std::time::Duration;

/// Tries in all without any progress.
const TRIES: u32 = 5;
/// The first pause; each one after it is twice as long.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A server that asks for a longer wait than this is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Whether and how a failure may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It will fail again.
    Never,
    /// One more try is worth it: a service that is being restarted.
    Once,
    /// It may pass; the server may have said when.
    Later(Option<Duration>),
}

/// Counts the failures since the last progress.
#[derive(Debug, Clone)]
pub(crate) struct Tries {
    failed: u32,
    first_pause: Duration,
}

impl Tries {
    pub(crate) fn new(first_pause: Duration) -> Self {
        Self { failed: 0, first_pause }
    }

    /// Forgets the failures: something has arrived since.
    pub(crate) fn progress(&mut self) {
        self.failed = 0;
    }

    /// Waits until the next try. It is false, at once, where trying again makes no sense (any more).
    pub(crate) async fn wait(&mut self, retry: Retry) -> bool {
        let Some(pause) = self.pause_after(retry) else { return false };
        tokio::time::sleep(pause).await;
        true
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
    fn a_wait_that_the_server_asks_for_is_kept_unless_it_is_long() {
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
