//! Asking somebody at a terminal for the value of a variable.

use std::io::{self, BufRead, Read};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::cli::{CliError, Kind, Ui};
use crate::variables::Variable;

/// How often somebody is asked for one value.
const ATTEMPTS: usize = 3;
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_U: u8 = 0x15;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7F;

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
    let mut answer = None;
    for _ in 0..ATTEMPTS {
        ui.prompt(&question(variable));
        let read = unseen.as_ref().map_or_else(line, Unseen::line);
        if unseen.is_some() {
            ui.prompt("\n");
        }
        match read {
            Ok(Line::Text(text)) if text.is_empty() => {}
            Ok(Line::Text(text)) => match variable.accept(&text) {
                Ok(value) => return Some(value),
                Err(message) => {
                    ui.prompt(&format!("{message}\n"));
                    answer = Some(text);
                }
            },
            Ok(Line::End) => return answer,
            Ok(Line::Interrupt) => {
                drop(unseen);
                ui.error(&CliError::new(Kind::Interrupted, "interrupted; nothing on this host has changed"));
                std::process::exit(i32::from(Kind::Interrupted.code()));
            }
            Err(error) => {
                ui.warn(&format!("cannot read an answer: {error}"));
                return answer;
            }
        }
    }
    answer
}

/// A terminal that shows nothing of what is typed, and hands over every key at once, until it is dropped.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut unseen = before.clone();
        // Without the signal of Ctrl-C too, at which the process would end and leave the terminal like this.
        unseen.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        unseen.special_codes[SpecialCodeIndex::VMIN] = 1;
        unseen.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &unseen)?;
        Ok(Self(before))
    }

    /// A line, with the keys that people correct one with.
    fn line(&self) -> io::Result<Line> {
        let mut typed = Vec::new();
        for byte in io::stdin().lock().bytes() {
            match byte? {
                b'\r' | b'\n' => return Ok(Line::Text(String::from_utf8_lossy(&typed).into_owned())),
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
        // A terminal that is gone has nothing to show.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// What somebody typed.
enum Line {
    Text(String),
    End,
    Interrupt,
}

fn question(variable: &Variable) -> String {
    let Variable { name, description, .. } = variable;
    let what = if description.is_empty() { name.clone() } else { format!("{description} ({name})") };
    format!("{what}, {}: ", variable.expected())
}

/// A line of standard input, as the terminal edits it.
fn line() -> io::Result<Line> {
    let mut text = String::new();
    if io::stdin().lock().read_line(&mut text)? == 0 {
        return Ok(Line::End);
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Line::Text(line.strip_suffix('\r').unwrap_or(line).to_owned()))
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
