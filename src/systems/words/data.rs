//! The words, their letters as tokens, and patterns of known letters.

use tiltrl_policies::models::Strings;

/// Letters of the alphabet.
pub const LETTERS: usize = 26;

/// Words of four letters, one a line.
const FOUR: &str = include_str!("four.txt");
/// Words of three letters.
const THREE: &str = include_str!("three.txt");

/// Returns all words of three or of four letters.
pub fn words(length: usize) -> Strings {
    let text = if length == 3 { THREE } else { FOUR };
    let tokens = text.bytes().filter(u8::is_ascii_lowercase);
    Strings {
        tokens: tokens.map(|b| u32::from(b - b'a')).collect(),
        length,
    }
}

/// Returns the string of an index of [`Strings::all`].
pub fn spelled(mut index: usize, length: usize) -> String {
    let mut letters = vec![' '; length];
    for slot in letters.iter_mut().rev() {
        *slot = char::from(b'a' + (index % LETTERS) as u8);
        index /= LETTERS;
    }
    letters.into_iter().collect()
}

/// Returns the known letters of a pattern as "?a?e".
pub fn evidence(pattern: &str) -> Vec<Option<u32>> {
    let token = |b: u8| b.is_ascii_lowercase().then(|| u32::from(b - b'a'));
    pattern.bytes().map(token).collect()
}

/// log r of the first task: 4 for two equal neighbours, −4 for a letter s.
pub fn doubles_without_s(strings: &Strings) -> Vec<f64> {
    let s = u32::from(b's' - b'a');
    let rows = strings.tokens.chunks_exact(strings.length);
    rows.map(|row| {
        let double = row.windows(2).any(|pair| pair[0] == pair[1]);
        4.0 * f64::from(u8::from(double)) - 4.0 * f64::from(u8::from(row.contains(&s)))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use tiltrl_tilt::sequential::Batched;

    use super::*;

    #[test]
    fn lists_and_rewards_are_those_described() {
        assert_eq!((words(4).count(), words(3).count()), (2442, 665));
        let four = words(4);
        let index = four.index(LETTERS);
        assert_eq!(spelled(index[0], 4), "abbr");
        let value = |word: &str| {
            let tokens = word.bytes().map(|b| u32::from(b - b'a')).collect();
            doubles_without_s(&Strings { tokens, length: 4 })[0]
        };
        assert_eq!(
            ["ball", "mess", "sand", "lamp"].map(value),
            [4.0, 0.0, -4.0, 0.0]
        );
        assert_eq!(evidence("?a?e"), [None, Some(0), None, Some(4)]);
    }
}
