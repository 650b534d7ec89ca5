//! Texts that match a pattern, as far as walking through it finds some; who uses them tries each.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Texts that are made of one pattern.
const TEXTS: u64 = 400;
/// Parts that one text is made of; loops in loops end there.
const STEPS: usize = 4000;
/// Turns beyond the fewest that a loop takes.
const MORE_TURNS: u64 = 4;

/// A parsed pattern.
pub(super) struct Pattern(Hir);

impl Pattern {
    /// Nothing where `text` is no pattern.
    pub(super) fn new(text: &str) -> Option<Self> {
        regex_syntax::parse(text).ok().map(Self)
    }

    /// Whether only one text matches.
    pub(super) fn is_literal(&self) -> bool {
        self.0.properties().is_literal() || matches!(self.0.kind(), HirKind::Empty)
    }

    /// Texts of which most match: simple ones first, the same ones every time.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        (0..TEXTS).map(|number| {
            let mut walk =
                Walk { number, state: number.wrapping_mul(0x9E37_79B9_7F4A_7C15), steps: 0, text: String::new() };
            walk.visit(&self.0);
            walk.text
        })
    }
}

struct Walk {
    number: u64,
    state: u64,
    steps: usize,
    text: String,
}

impl Walk {
    /// A number below `end`: zero throughout the first text, then anything.
    fn pick(&mut self, end: u64) -> u64 {
        if self.number == 0 || end < 2 {
            return 0;
        }
        // xorshift (Marsaglia, 2003)
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % end
    }

    fn visit(&mut self, hir: &Hir) {
        self.steps += 1;
        match hir.kind() {
            // A place at the edge of a word or a text adds nothing.
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.push_str(&String::from_utf8_lossy(&literal.0)),
            HirKind::Class(class) => self.class(class),
            HirKind::Capture(capture) => self.visit(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.visit(part)),
            HirKind::Alternation(ways) => {
                let way = self.pick(ways.len() as u64) as usize;
                ways.iter().skip(way).take(1).for_each(|way| self.visit(way));
            }
            HirKind::Repetition(loops) => {
                let fewest = u64::from(loops.min);
                let room = loops.max.map_or(MORE_TURNS, |most| u64::from(most).saturating_sub(fewest).min(MORE_TURNS));
                for _ in 0..fewest + self.pick(room + 1) {
                    if self.steps > STEPS {
                        break;
                    }
                    self.visit(&loops.sub);
                }
            }
        }
    }

    fn class(&mut self, class: &Class) {
        let ranges: Vec<(u32, u32)> = match class {
            Class::Unicode(class) => class.iter().map(|range| (range.start().into(), range.end().into())).collect(),
            Class::Bytes(class) => class.iter().map(|range| (range.start().into(), range.end().into())).collect(),
        };
        let has = |character: char| ranges.iter().any(|(start, end)| (*start..=*end).contains(&character.into()));
        let simple: Vec<char> = ('a'..='z').chain('0'..='9').chain('A'..='Z').filter(|one| has(*one)).collect();
        if let Some(character) = simple.get(self.pick(simple.len() as u64) as usize) {
            return self.text.push(*character);
        }
        let Some((start, end)) = ranges.get(self.pick(ranges.len() as u64) as usize) else { return };
        let code = start + self.pick(u64::from(end - start) + 1) as u32;
        self.text.extend(char::from_u32(code));
    }
}
