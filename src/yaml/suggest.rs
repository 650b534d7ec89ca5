//! "Did you mean": the known word nearest to an unknown one.

/// The word of `known` that `word` is most likely a slip of, where one is near enough.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |candidate: &&str| distance(&word.to_lowercase(), &candidate.to_lowercase());
    // A third of the letters may be wrong: `vesrion` is a slip, `foo` for `files` is not.
    known
        .iter()
        .copied()
        .filter(|candidate| distance(candidate) <= candidate.len().min(word.len()) / 3)
        .min_by_key(distance)
}

/// Insertions, deletions and replacements that turn `left` into `right` (Levenshtein); long words are cut.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["name", "version", "imageLists", "images"];
        assert_eq!(nearest("nmae", &["name"]), None);
        assert_eq!(nearest("nam", &known), Some("name"));
        assert_eq!(nearest("vesrion", &known), Some("version"));
        assert_eq!(nearest("imagelist", &known), Some("imageLists"));
        assert_eq!(nearest("foo", &known), None);
    }
}
