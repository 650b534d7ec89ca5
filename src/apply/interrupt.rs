//! The user's wish to stop, seen where stopping is safe.

use tokio::sync::watch;

/// Says that work is to stop.
#[derive(Debug)]
pub struct Interrupter(watch::Sender<bool>);

/// Sees whether work is to stop.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupter {
    /// A wish and the eye for it.
    pub fn new() -> (Self, Interrupt) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Interrupt(receiver))
    }

    /// Asks for work to stop.
    pub fn interrupt(&self) {
        self.0.send_replace(true);
    }
}

impl Interrupt {
    /// One that never comes.
    pub fn never() -> Self {
        Interrupter::new().1
    }

    /// Ends when work is to stop; never, where nobody can say so any more.
    pub(super) async fn wait(&self) {
        if self.0.clone().wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn is_set(&self) -> bool {
        *self.0.borrow()
    }
}
