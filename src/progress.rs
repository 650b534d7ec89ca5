//! How far a long command has come: what its steps write, and a user interface reads.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a command does now, and in what its progress is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Content is read, checked, and written to where it is needed. In bytes.
    #[default]
    Content,
    /// What was written is brought to the disk. Not counted.
    Sync,
    /// Layers of images are unpacked. In layers.
    Unpack,
    /// The archive of images gets its end. Not counted.
    Archive,
    /// Names of images are set. In names.
    Names,
    /// Files get their places. In files.
    Files,
    /// Charts are rendered. In runs of helm.
    Render,
}

/// A step on the host: a unit that is started, a program that is run, something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does, for people: `start k3s.service`.
    pub what: String,
    /// After how long it is given up; none where it may take any time.
    pub limit: Option<Duration>,
    /// Its number, from 1.
    pub number: usize,
    /// How many there are in all.
    pub of: usize,
    /// Whether it takes back what has failed.
    pub undoes: bool,
}

/// The begin or the end of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step has begun.
    Begun(Step),
    /// A step has ended well, after so long.
    Ended(Step, Duration),
}

/// How far a command is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    /// What it does.
    pub stage: Stage,
    /// How much of the stage is done.
    pub done: u64,
    /// How much there is to do in the stage; it may grow.
    pub total: u64,
    /// For how long the stage, or the step that runs, has lasted.
    pub elapsed: Duration,
    /// Names of what is being worked on, the oldest first.
    pub items: Vec<String>,
    /// The step that runs.
    pub step: Option<Step>,
}

/// Shared between a running command and whoever shows how far it is.
#[derive(Debug, Default)]
pub struct Progress {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    since: Instant,
    done: u64,
    total: u64,
    items: Vec<String>,
    running: Option<(Step, Instant)>,
    /// Steps that have begun, and steps in all.
    steps: (usize, usize),
    undoes: bool,
    events: Vec<Event>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            stage: Stage::default(),
            since: Instant::now(),
            done: 0,
            total: 0,
            items: Vec::new(),
            running: None,
            steps: (0, 0),
            undoes: false,
            events: Vec::new(),
        }
    }
}

impl Progress {
    /// Begins a stage in which there is so much to do.
    pub fn stage(&self, stage: Stage, total: u64) {
        let mut state = self.state();
        (state.stage, state.since, state.done, state.total) = (stage, Instant::now(), 0, total);
    }

    /// Adds to what there is to do in this stage. It may grow while work goes on.
    pub fn add_total(&self, count: u64) {
        self.state().total += count;
    }

    /// Counts as done, in this stage.
    pub fn advance(&self, count: u64) {
        self.state().done += count;
    }

    /// Marks `item` as being worked on until the guard is dropped.
    pub fn begin<'a>(&'a self, item: &str) -> InFlight<'a> {
        self.state().items.push(item.to_owned());
        InFlight { progress: self, item: item.to_owned() }
    }

    /// Sets how many steps follow, and whether they take back what has failed. They are numbered from 1.
    pub fn expect_steps(&self, count: usize, undoes: bool) {
        let mut state = self.state();
        (state.steps, state.undoes) = ((0, count), undoes);
    }

    /// Begins a step, which runs until the guard is dropped.
    pub fn step(&self, what: String, limit: Option<Duration>) -> Running<'_> {
        let mut state = self.state();
        state.steps.0 += 1;
        let (number, of) = (state.steps.0, state.steps.1.max(state.steps.0));
        let step = Step { what, limit, number, of, undoes: state.undoes };
        state.running = Some((step.clone(), Instant::now()));
        state.events.push(Event::Begun(step));
        Running { progress: self }
    }

    /// How far the command is.
    pub fn now(&self) -> Now {
        let state = self.state();
        let State { stage, since, done, total, ref items, ref running, .. } = *state;
        let since = running.as_ref().map_or(since, |(_, since)| *since);
        let step = running.as_ref().map(|(step, _)| step.clone());
        Now { stage, done, total, elapsed: since.elapsed(), items: items.clone(), step }
    }

    /// The steps that have begun and ended since this was asked last, in order.
    pub fn events(&self) -> Vec<Event> {
        std::mem::take(&mut self.state().events)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An item that is being worked on; see [`Progress::begin`].
#[derive(Debug)]
pub struct InFlight<'a> {
    progress: &'a Progress,
    item: String,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut state = self.progress.state();
        if let Some(at) = state.items.iter().position(|item| *item == self.item) {
            state.items.remove(at);
        }
    }
}

/// A step that runs; see [`Progress::step`].
#[derive(Debug)]
pub struct Running<'a> {
    progress: &'a Progress,
}

impl Running<'_> {
    /// Ends the step, which has done what it was for.
    pub fn done(self) {
        let mut state = self.progress.state();
        if let Some((step, since)) = state.running.take() {
            state.events.push(Event::Ended(step, since.elapsed()));
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.progress.state().running = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_counts_from_zero() {
        let progress = Progress::default();
        progress.add_total(10);
        progress.advance(10);
        progress.stage(Stage::Unpack, 3);
        progress.advance(1);
        let now = progress.now();
        assert_eq!((now.stage, now.done, now.total), (Stage::Unpack, 1, 3));
    }

    #[test]
    fn what_two_work_on_stays_until_both_have_done() {
        let progress = Progress::default();
        let (one, two) = (progress.begin("b"), progress.begin("b"));
        let _other = progress.begin("a");
        drop(one);
        assert_eq!(progress.now().items, ["b", "a"]);
        drop(two);
        assert_eq!(progress.now().items, ["a"]);
    }

    #[test]
    fn steps_are_numbered_and_only_those_that_end_well_are_said_to() {
        let progress = Progress::default();
        progress.expect_steps(2, false);
        progress.step("one".to_owned(), None).done();
        drop(progress.step("two".to_owned(), Some(Duration::from_secs(5))));
        progress.expect_steps(1, true);
        let _undo = progress.step("undo".to_owned(), None);
        let short = |event| match event {
            Event::Begun(step) => format!("{} of {} {} {}", step.number, step.of, step.what, step.undoes),
            Event::Ended(step, _) => format!("ended {}", step.what),
        };
        let events: Vec<String> = progress.events().into_iter().map(short).collect();
        assert_eq!(events, ["1 of 2 one false", "ended one", "2 of 2 two false", "1 of 1 undo true"]);
        assert_eq!(progress.events(), []);
        assert_eq!(progress.now().step.map(|step| step.what).as_deref(), Some("undo"));
    }
}
