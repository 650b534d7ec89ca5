//! How far a command is, as it is shown: a line at the foot of a terminal, or a plain line now and then elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::ui::{self, bytes, counted};
use crate::progress::{Event, Now, Progress, Stage, Step};
use crate::text::escaped;

/// Between two looks at a terminal's line.
const REDRAWN: Duration = Duration::from_millis(150);
/// Between two plain lines about one thing, at first; each time it doubles, to at most [`SELDOM`].
const SOON: Duration = Duration::from_secs(10);
const SELDOM: Duration = Duration::from_secs(60);
/// Over how long a rate is taken.
const WINDOW: Duration = Duration::from_secs(10);
/// The widest and the narrowest bar.
const WIDE: usize = 20;
const NARROW: usize = 8;
/// The least room that the name of an item is given.
const NAME: usize = 12;

/// Progress on display, until it is dropped.
pub struct Shown {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Shown {
    /// Shows nothing.
    pub(super) fn nothing() -> Self {
        Self { stop: Arc::default(), thread: None }
    }

    /// Shows `progress`; `verb` says what is done with content.
    pub(super) fn begin(verb: &'static str, progress: &Arc<Progress>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, progress) = (Arc::clone(&stop), Arc::clone(progress));
        let thread = std::thread::spawn(move || {
            if ui::has_foot() {
                on_terminal(verb, &progress, &stopped);
            } else {
                in_lines(verb, &progress, &stopped);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in there has been printed already and must not hide the command's own result.
            let _ = thread.join();
        }
    }
}

/// A line that is drawn again and again, and above it one for each step that has ended. What is over at once shows no line.
fn on_terminal(verb: &str, progress: &Progress, stopped: &AtomicBool) {
    let mut rate = Rate::default();
    loop {
        std::thread::park_timeout(REDRAWN);
        for event in progress.events() {
            if let Event::Ended(step, took) = event {
                ui::message(&format!("{}, {}", title(&step), time(took)));
            }
        }
        if stopped.load(Ordering::Relaxed) {
            break;
        }
        let now = progress.now();
        let rate = rate.of(&now);
        // The last column stays free: what is written there may break the line.
        ui::draw(&line(verb, &now, rate, ui::columns().saturating_sub(1)));
    }
    ui::draw("");
}

/// A line for each step as it begins, and one now and then about what takes long.
fn in_lines(verb: &str, progress: &Progress, stopped: &AtomicBool) {
    let (mut rate, mut pause, mut due) = (Rate::default(), SOON, Instant::now() + SOON);
    let mut about = None;
    loop {
        let ended = stopped.load(Ordering::Relaxed);
        for event in progress.events() {
            if let Event::Begun(step) = event {
                let limit = step.limit.map(|limit| format!(" (at most {})", time(limit))).unwrap_or_default();
                ui::message(&format!("{}{limit}", title(&step)));
            }
        }
        if ended {
            return;
        }
        let now = progress.now();
        let rate = rate.of(&now);
        let what = (now.stage, now.step.clone());
        if about.as_ref() != Some(&what) {
            (about, pause, due) = (Some(what), SOON, Instant::now() + SOON);
        } else if Instant::now() >= due {
            let Said { lead, more, .. } = said(verb, &now, rate);
            ui::message(&std::iter::once(lead).chain(more).collect::<Vec<_>>().join(", "));
            pause = (pause * 2).min(SELDOM);
            due = Instant::now() + pause;
        }
        std::thread::park_timeout(REDRAWN);
    }
}

/// What is to be said of a moment.
struct Said {
    /// What is done, and how much of it.
    lead: String,
    /// What else is known, the most important first.
    more: Vec<String>,
    /// How much is done, in 0..=1.
    share: Option<f64>,
    /// What is being worked on.
    item: String,
}

fn said(verb: &str, now: &Now, rate: Option<u64>) -> Said {
    let Now { stage, done, total, elapsed, ref items, ref step } = *now;
    let lasts = || (elapsed >= Duration::from_secs(1)).then(|| time(elapsed)).into_iter().collect::<Vec<_>>();
    if let Some(step) = step {
        let more = vec![time(elapsed)];
        let more = more.into_iter().chain(step.limit.map(|limit| format!("at most {}", time(limit)))).collect();
        let share = (step.number - 1) as f64 / step.of.max(1) as f64;
        return Said { lead: title(step), more, share: Some(share), item: String::new() };
    }
    // Several may work on the same thing, such as one chart with other values.
    let mut items = items.clone();
    items.dedup();
    let item = items.join(" ");
    let share = (total > 0).then(|| done.min(total) as f64 / total as f64);
    let counting = |what: &str| format!("{what} {} of {total}", done.min(total));
    match stage {
        Stage::Content if total == 0 => Said { lead: verb.to_owned(), more: lasts(), share: None, item },
        Stage::Content if done >= total => {
            Said { lead: format!("{verb} {}", bytes(total)), more: vec!["completing".to_owned()], share: None, item }
        }
        Stage::Content => {
            let rate = rate.filter(|rate| *rate > 0);
            // Rounded up: as long as something is left, it takes some time.
            let left = rate.map(|rate| format!("{} left", time(Duration::from_secs((total - done).div_ceil(rate)))));
            let more = left.into_iter().chain(rate.map(|rate| format!("{}/s", bytes(rate)))).collect();
            Said { lead: format!("{verb} {} of {}", bytes(done), bytes(total)), more, share, item }
        }
        Stage::Sync => Said { lead: "syncing to disk".to_owned(), more: lasts(), share: None, item },
        Stage::Unpack => {
            let layers = counted(usize::try_from(total).unwrap_or(usize::MAX), "layer");
            let lead = format!("unpacking {} of {layers}", done.min(total));
            Said { lead, more: lasts(), share, item }
        }
        Stage::Archive => Said { lead: "completing the image archive".to_owned(), more: lasts(), share: None, item },
        Stage::Names => Said { lead: counting("setting image names,"), more: lasts(), share, item },
        Stage::Files => Said { lead: counting("changing files,"), more: lasts(), share, item },
        Stage::Render if total == 0 => Said { lead: verb.to_owned(), more: lasts(), share: None, item },
        // How many there will be is not known before.
        Stage::Render => Said { lead: counting("rendering charts,"), more: lasts(), share: None, item },
    }
}

/// A step by its number and what it does.
fn title(step: &Step) -> String {
    let word = if step.undoes { "undo" } else { "step" };
    format!("{word} {} of {}: {}", step.number, step.of, step.what)
}

/// A moment in one line of so many columns.
fn line(verb: &str, now: &Now, rate: Option<u64>, columns: usize) -> String {
    let Said { lead, more, share, item } = said(verb, now, rate);
    let first = more.first().map_or(0, |first| 2 + first.width());
    // What is most important of the rest has its place even where the names are long.
    let room = if columns > first + NAME { columns - first } else { columns };
    let mut line = shortened(&lead, room);
    for part in &more {
        if line.width() + 2 + part.width() <= columns {
            line = format!("{line}  {part}");
        }
    }
    let left = |line: &str| columns.saturating_sub(line.width() + 2);
    if let Some(share) = share {
        let named = if item.is_empty() { 0 } else { 2 + item.width().min(NAME) };
        let length = left(&line).saturating_sub(named).min(WIDE);
        if length >= NARROW {
            // Never full: as long as it is shown, something is left to do.
            let filled = ((share * length as f64) as usize).min(length - 1);
            line = format!("{line}  {}{}", "━".repeat(filled), "─".repeat(length - filled));
        }
    }
    if !item.is_empty() && left(&line) >= item.width().min(NAME) {
        line = format!("{line}  {}", shortened(&item, left(&line)));
    }
    line
}

/// The text in at most so many columns, cut with `…`.
fn shortened(text: &str, columns: usize) -> String {
    let text = escaped(text);
    if text.width() <= columns {
        return text.into_owned();
    }
    let mut width = 1;
    let fits = |character: &char| {
        width += character.width().unwrap_or(0);
        width <= columns
    };
    let cut: String = text.chars().take_while(fits).collect();
    if columns == 0 { String::new() } else { format!("{}…", cut.trim_end()) }
}

/// A time for people: `12 s`, `2 min 5 s`, `20 min`, `1 h 4 min`.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// How fast content has come lately. What was there already counts at once, and would be taken for speed over the whole time.
#[derive(Default)]
struct Rate {
    seen: VecDeque<(Instant, u64)>,
    stage: Stage,
}

impl Rate {
    /// Bytes in a second, once there is something to tell it by.
    fn of(&mut self, now: &Now) -> Option<u64> {
        if now.stage != self.stage {
            self.seen.clear();
            self.stage = now.stage;
        }
        let time = Instant::now();
        self.seen.push_back((time, now.done));
        while self.seen.len() > 2 && self.seen.front().is_some_and(|(seen, _)| time - *seen > WINDOW) {
            self.seen.pop_front();
        }
        let (since, before) = *self.seen.front()?;
        let elapsed = (time - since).as_secs_f64();
        (elapsed >= 1.0).then(|| (now.done.saturating_sub(before) as f64 / elapsed) as u64)
    }
}

#[cfg(test)]
mod tests;
