//! The last segments of the subjects of one multiplexer.

use std::hash::{BuildHasher, RandomState};

/// Makes a segment of each number, and reads the number of a segment.
///
/// A host sees the reply subject of each request that it serves, and may publish to the inboxes of all users. It must not
/// guess those of other requests: a segment has a hash of its number with a key that is known to this process alone.
#[derive(Default)]
pub(super) struct ReplyTokens {
    /// SipHash with a random key.
    key: RandomState,
}

impl ReplyTokens {
    /// The length of a hash in hexadecimal digits.
    const HASH_DIGITS: usize = 16;

    pub(super) fn token(&self, number: u64) -> String {
        // Every request has one, and `format!` takes several times as long.
        let mut token = number.to_string();
        token.reserve_exact(1 + Self::HASH_DIGITS);
        token.push('-');
        let hash = self.key.hash_one(number);
        for digit in (0..Self::HASH_DIGITS).rev() {
            let value = (hash >> (4 * digit)) & 0xf;
            token.push(char::from(b"0123456789abcdef"[value as usize]));
        }
        token
    }

    /// The number of `token`; `None` if this value has not made it.
    pub(super) fn number(&self, token: &str) -> Option<u64> {
        let (number, hash) = token.split_once('-')?;
        let number = number.parse().ok()?;
        let is_own = hash.len() == Self::HASH_DIGITS
            && hash.bytes().all(|digit| digit.is_ascii_hexdigit())
            && u64::from_str_radix(hash, 16) == Ok(self.key.hash_one(number));
        is_own.then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_read_from_the_own_token_only() {
        let (tokens, others) = (ReplyTokens::default(), ReplyTokens::default());
        for number in [0, 1, 9, 10, u64::MAX] {
            let token = tokens.token(number);
            assert!(token.len() <= 37, "{token}");
            assert_eq!(tokens.number(&token), Some(number), "{token}");
            assert_eq!(others.number(&token), None, "{token}");
        }
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let tokens = ReplyTokens::default();
        let (one, two) = (tokens.token(1), tokens.token(2));
        let hash = one.split_once('-').map_or("", |(_, hash)| hash);
        for text in [
            "",
            "1",
            "1-",
            "-",
            "1-0000000000000000",
            &format!("2-{hash}"),
            &format!("1-+{}", &hash[1..]),
            &format!("1-0{hash}"),
            &format!("{one}-{two}"),
        ] {
            assert_eq!(tokens.number(text), None, "{text}");
        }
    }
}
