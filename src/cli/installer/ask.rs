//! Asking somebody at a terminal for the value of a variable.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::signals;
use crate::cli::{CliError, Kind, Ui};
use crate::variables::Variable;

/// How often somebody is asked for one value.
const ATTEMPTS: usize = 3;
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_U: u8 = 0x15;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7F;
/// What stands for no key (termios(3), _POSIX_VDISABLE).
const DISABLED: u8 = 0;

/// Asks for a value until it fits. What does not fit in the end is returned even so, for its message.
pub(super) fn ask(variable: &Variable, ui: &Ui) -> Option<String> {
    // Before the question, since some type faster than a program.
    let unseen = match variable.sensitive.then(Unseen::begin).transpose() {
        Ok(unseen) => unseen,
        Err(error) => {
            ui.warn(&format!(
                "cannot keep what is typed off the screen, so {} is not asked for: {error}",
                variable.name
            ));
            return None;
        }
    };
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let read = match &unseen {
            None => answer(&question(variable), ui),
            Some(unseen) => {
                ui.prompt(&question(variable));
                let read = unseen.line();
                ui.prompt("\n");
                read
            }
        };
        match read {
            Ok(Line::Text(text)) if text.is_empty() => {}
            Ok(Line::Text(text)) => match variable.accept(&text) {
                Ok(value) => return Some(value),
                Err(message) => {
                    ui.prompt(&format!("{message}\n"));
                    last = Some(text);
                }
            },
            Ok(Line::End) => return last,
            Ok(Line::Interrupt) => {
                drop(unseen);
                signals::exit(ui);
            }
            Err(error) => {
                ui.warn(&format!("cannot read an answer: {error}"));
                return last;
            }
        }
    }
    last
}

/// Asks something, and reads what somebody types, which the terminal shows and lets them correct.
pub(super) fn answer(question: &str, ui: &Ui) -> io::Result<Line> {
    // Before the question, since some type faster than a program.
    let seen = Seen::begin()?;
    ui.prompt(question);
    let read = seen.line();
    if !matches!(read, Ok(Line::Text(_))) {
        // The cursor is still behind the question.
        ui.prompt("\n");
    }
    read
}

/// The error of a question that was answered with Ctrl-C.
pub(super) fn interrupted() -> CliError {
    CliError::new(Kind::Interrupted, "interrupted; nothing was changed")
}

/// How the terminal was before somebody was asked.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Makes the terminal another one than it was.
fn change(before: &Termios, to: &Termios) -> io::Result<()> {
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before.clone());
    Ok(tcsetattr(io::stdin(), OptionalActions::Now, to)?)
}

/// Makes the terminal what it was before somebody was asked, also for a process that ends while somebody is.
pub(super) fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that is gone has nothing to show.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// A terminal on which Ctrl-C ends the line, as a key, until it is dropped. As a signal it may be caught by then, by who waits for a
/// moment at which the work can be stopped; and it would end the process without a word.
struct Seen;

impl Seen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut seen = before.clone();
        seen.special_codes[SpecialCodeIndex::VINTR] = DISABLED;
        seen.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        change(&before, &seen)?;
        Ok(Self)
    }

    /// A line, as the terminal edits it.
    fn line(&self) -> io::Result<Line> {
        let mut typed = Vec::new();
        for byte in io::stdin().lock().bytes() {
            match byte {
                // The terminal is gone.
                Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => return Ok(Line::End),
                other => match other? {
                    b'\n' => return text(typed),
                    CTRL_C => return Ok(Line::Interrupt),
                    other => typed.push(other),
                },
            }
        }
        Ok(Line::End)
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        restore();
    }
}

/// A terminal that shows nothing of what is typed, and hands over every key at once, until it is dropped.
struct Unseen;

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut unseen = before.clone();
        // Without the signal of Ctrl-C too, at which the process would end and leave the terminal like this.
        unseen.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        unseen.special_codes[SpecialCodeIndex::VMIN] = 1;
        unseen.special_codes[SpecialCodeIndex::VTIME] = 0;
        change(&before, &unseen)?;
        Ok(Self)
    }

    /// A line, with the keys that people correct one with.
    fn line(&self) -> io::Result<Line> {
        let mut typed = Vec::new();
        for byte in io::stdin().lock().bytes() {
            match byte? {
                b'\r' | b'\n' => return text(typed),
                CTRL_C => return Ok(Line::Interrupt),
                CTRL_D if typed.is_empty() => return Ok(Line::End),
                CTRL_U => typed.clear(),
                // A whole character, which may have several bytes.
                BACKSPACE | DELETE => while typed.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {},
                other => typed.push(other),
            }
        }
        Ok(Line::End)
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        restore();
    }
}

/// What was typed, which may be in another encoding than ours.
fn text(typed: Vec<u8>) -> io::Result<Line> {
    String::from_utf8(typed).map(Line::Text).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// What somebody typed.
pub(super) enum Line {
    Text(String),
    End,
    Interrupt,
}

fn question(variable: &Variable) -> String {
    let Variable { name, description, .. } = variable;
    let what = if description.is_empty() { name.clone() } else { format!("{description} ({name})") };
    format!("{what}, {}: ", variable.expected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_what_is_wanted() {
        let mut variable = Variable { name: "storeId".to_owned(), ..Variable::default() };
        assert_eq!(question(&variable), "storeId, any text: ");
        (variable.description, variable.options) = ("Store".to_owned(), vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(question(&variable), "Store (storeId), one of \"a\", \"b\": ");
    }
}
