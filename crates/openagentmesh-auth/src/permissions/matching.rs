//! The wildcards of subjects, as a server compares them.

/// Whether every subject that `subject` matches is matched by `pattern`, too. Both may have wildcards.
pub(super) fn covers(pattern: &str, subject: &str) -> bool {
    let mut pattern = pattern.split('.');
    let mut subject = subject.split('.');
    loop {
        match (pattern.next(), subject.next()) {
            // `>` matches at least one segment.
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(segment)) if segment != ">" => {}
            (Some(expected), Some(segment)) if expected == segment => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether some subject is matched by both patterns.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    let mut one = one.split('.');
    let mut other = other.split('.');
    loop {
        match (one.next(), other.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{covers, overlap};

    #[test]
    fn patterns_overlap_if_one_subject_matches_both() {
        for (one, other) in [("a.*.c", "a.b.*"), ("a.>", "*.b.c"), ("a", "a"), (">", "a")] {
            assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
        }
        for (one, other) in [("a.*.c", "a.b.d"), ("a.>", "a"), ("a.*", "a.b.c")] {
            assert!(
                !overlap(one, other) && !overlap(other, one),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn wider_pattern_covers_the_narrower() {
        for (pattern, subject) in [
            (">", "a"),
            (">", ">"),
            ("a.>", "a.b.c"),
            ("a.>", "a.*.>"),
            ("a.*", "a.b"),
            ("a.*", "a.*"),
            ("a.*.c", "a.b.c"),
            ("a.b", "a.b"),
        ] {
            assert!(covers(pattern, subject), "{pattern} {subject}");
        }
        for (pattern, subject) in [
            ("a.>", "a"),
            ("a.>", ">"),
            ("a.*", "a.>"),
            ("a.*", "a.b.c"),
            ("a.b", "a.*"),
            ("a.b", "a"),
            ("a", "a.b"),
            ("a.*.c", "a.b.d"),
        ] {
            assert!(!covers(pattern, subject), "{pattern} {subject}");
        }
    }
}
