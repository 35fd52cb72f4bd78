//! "Did you mean": the nearest of the names there are.

/// The candidate nearest to `word`, if one is near enough to be a slip of the hand.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(80).collect::<String>();
    let wanted = plain(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count().min(wanted.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A sentence that helps with an unknown name: the nearest one, or all there are. `kind` is the plural
/// of what is named, for example `send ports`.
#[must_use]
pub fn unknown(word: &str, kind: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => format!("there are no {kind}"),
        None => format!("{kind}: {}", listing(candidates)),
    }
}

/// `a, b, c and 7 more`.
#[must_use]
pub fn listing(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        assert_eq!(nearest("fitler", ["filter", "file", "state"]), Some("filter"));
        assert_eq!(nearest("xmlreceive", ["XMLReceive", "PassThruReceive"]), Some("XMLReceive"));
        assert_eq!(nearest("Europe/Berln", ["Europe/Berlin", "Europe/Dublin"]), Some("Europe/Berlin"));
        assert_eq!(nearest("zebra", ["filter", "state"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
