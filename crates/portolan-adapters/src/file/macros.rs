//! Macros in file names (manual page "Restrictions when configuring the File adapter", "Using macros in
//! file names"). A macro whose value is missing, or holds characters that cannot stand in a file name,
//! stays in the name as it is, as documented there.
//!
//! **Invariant:** whatever the values are, the result is one name inside the folder, or an error.

use super::mask::TEMPORARY;
use jiff::tz::TimeZone;
use portolan_model::{Name, Value, system};
use portolan_sdk::OutboundMessage;

/// Longest file name the usual file systems allow, in bytes.
const LONGEST: usize = 255;

const PLAIN: &[(&str, Macro)] = &[
    ("MessageID", Macro::MessageId),
    ("SourceFileName", Macro::SourceFileName),
    ("datetime", Macro::DateTime),
    ("datetime_bts2000", Macro::DateTimeBts2000),
    ("datetime.tz", Macro::DateTimeZone),
    ("time", Macro::Time),
    ("time.tz", Macro::TimeZone),
    ("SourceParty", Macro::System("SourceParty")),
    ("SourcePartyQualifier", Macro::System("SourcePartyQualifier")),
    ("DestinationParty", Macro::System("DestinationParty")),
    ("DestinationPartyQualifier", Macro::System("DestinationPartyQualifier")),
];

#[derive(Clone, PartialEq, Debug)]
enum Macro {
    MessageId,
    SourceFileName,
    DateTime,
    DateTimeBts2000,
    DateTimeZone,
    Time,
    TimeZone,
    /// A `BTS.*` property without a name of its own in the model.
    System(&'static str),
    /// A property by namespace and name.
    Property(Name),
    /// A property of an own property schema, by its name alone.
    Local(String),
}

#[derive(Clone, PartialEq, Debug)]
enum Piece {
    Text(String),
    /// The macro and how it was written, with its percent signs.
    Macro(Macro, String),
}

/// A file name with macros.
#[derive(Clone, PartialEq, Debug)]
pub struct FileName {
    pieces: Vec<Piece>,
    /// Text between percent signs that is no macro.
    pub unknown: Vec<String>,
}

impl FileName {
    /// Reads a file name.
    ///
    /// # Errors
    /// In words, when no name of a file in a folder can come of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut name = Self { pieces: Vec::new(), unknown: Vec::new() };
        let mut plain = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('%') {
            plain.push_str(&rest[..start]);
            let after = &rest[start + 1..];
            // The inside of %{...}% may hold anything but its end; of %...% nothing that a name may not.
            let end = if after.starts_with('{') { after.find("}%").map(|at| at + 1) } else { after.find('%') };
            let Some(end) = end else {
                rest = &rest[start..];
                break;
            };
            if let Some(found) = find(&after[..end]) {
                name.pieces.push(Piece::Text(std::mem::take(&mut plain)));
                name.pieces.push(Piece::Macro(found, format!("%{}%", &after[..end])));
                rest = &after[end + 1..];
            } else {
                // The second percent sign may begin a macro.
                name.unknown.push(after[..end].to_owned());
                plain.push('%');
                plain.push_str(&after[..end]);
                rest = &after[end..];
                if rest == "%" {
                    break;
                }
            }
        }
        plain.push_str(rest);
        name.pieces.push(Piece::Text(plain));
        name.pieces.retain(|piece| *piece != Piece::Text(String::new()));
        for piece in &name.pieces {
            if let Piece::Text(text) = piece
                && let Some(bad) = text.chars().find(|c| !may_stand(*c))
            {
                return Err(format!("the file name {:?} contains {bad:?}; it is a name in the folder, not a path", shown(text)));
            }
        }
        if name.pieces.is_empty() {
            return Err("the file name is empty".to_owned());
        }
        Ok(name)
    }

    /// Whether every message has a name of its own.
    pub fn is_unique(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Macro(Macro::MessageId, _)))
    }

    /// The file name of a message.
    ///
    /// # Errors
    /// In words, when no file in a folder can have the name.
    pub fn expand(&self, message: &OutboundMessage, zone: &TimeZone) -> Result<String, String> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Macro(which, written) => match value(which, message, zone) {
                    Some(value) if !value.is_empty() && value.chars().all(may_stand) => name.push_str(&value),
                    _ => name.push_str(written),
                },
            }
        }
        // An untouched property macro may hold a namespace with slashes.
        if let Some(bad) = name.chars().find(|c| !may_stand(*c)) {
            return Err(format!("no file can have the name {:?}: it contains {bad:?}", shown(&name)));
        }
        if name == "." || name == ".." {
            return Err(format!("no file can have the name {name:?}"));
        }
        if name.starts_with(TEMPORARY) {
            return Err(format!("the name {name:?} is reserved: names beginning with {TEMPORARY:?} are temporary files"));
        }
        if name.len() > LONGEST {
            return Err(format!("the file name {:?} has {} bytes, and at most {LONGEST} are possible", shown(&name), name.len()));
        }
        Ok(name)
    }
}

/// The known macro nearest to a misspelled one.
pub fn suggestion(unknown: &str) -> Option<&'static str> {
    let wanted = unknown.to_ascii_lowercase();
    let near = |known: &&str| distance(&wanted, &known.to_ascii_lowercase());
    PLAIN.iter().map(|(name, _)| *name).min_by_key(near).filter(|known| near(known) <= 1 + known.len() / 5)
}

fn find(inside: &str) -> Option<Macro> {
    if let Some(property) = inside.strip_prefix('{').and_then(|i| i.strip_suffix('}')) {
        if let Some((namespace, local)) = property.rsplit_once('#') {
            return Some(Macro::Property(Name::new(namespace, local)));
        }
        let (prefix, local) = property.split_once('.')?;
        return (!prefix.is_empty() && !local.is_empty()).then(|| match system::namespace_of(prefix) {
            Some(namespace) => Macro::Property(Name::new(namespace, local)),
            None => Macro::Local(local.to_owned()),
        });
    }
    PLAIN.iter().find(|(name, _)| name.eq_ignore_ascii_case(inside)).map(|(_, found)| found.clone())
}

fn value(which: &Macro, message: &OutboundMessage, zone: &TimeZone) -> Option<String> {
    let utc = || message.now.to_jiff().to_zoned(TimeZone::UTC);
    let local = || message.now.to_jiff().to_zoned(zone.clone());
    let context = |name: &Name| message.context.get(name).map(Value::to_string);
    Some(match which {
        Macro::MessageId => message.message.braced(),
        Macro::SourceFileName => {
            let path = context(&system::file::RECEIVED_FILE_NAME)?;
            path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
        }
        Macro::DateTime => utc().strftime("%Y-%m-%dT%H%M%S").to_string(),
        Macro::DateTimeBts2000 => {
            let now = utc();
            format!("{}{}", now.strftime("%Y%m%d%H%M%S"), now.millisecond() / 100)
        }
        Macro::DateTimeZone => format!("{}{}", local().strftime("%Y-%m-%dT%H%M%S"), offset(local().offset().seconds())),
        Macro::Time => utc().strftime("%H%M%S").to_string(),
        Macro::TimeZone => format!("{}{}", local().strftime("%H%M%S"), offset(local().offset().seconds())),
        Macro::System(local) => context(&Name::new(system::namespace_of("BTS")?, *local))?,
        Macro::Property(name) => context(name)?,
        Macro::Local(local) => {
            let mut found = message.context.iter().filter(|p| p.name.local == *local && system::prefix_of(&p.name.namespace).is_none());
            let only = found.next()?;
            if found.next().is_some() {
                return None;
            }
            only.value.to_string()
        }
    })
}

/// `+800`, `+530`, `-330`: hours without a leading zero, as in the manual's examples.
fn offset(seconds: i32) -> String {
    let minutes = seconds.abs() / 60;
    format!("{}{}{:02}", if seconds < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
}

fn may_stand(c: char) -> bool {
    !matches!(c, '/' | '\\') && !c.is_control()
}

fn shown(name: &str) -> String {
    let mut text: String = name.chars().take(80).collect();
    if text.len() < name.len() {
        text.push('…');
    }
    text
}

/// Edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left_above = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (left_above + usize::from(x != *y)).min(above + 1).min(row[j] + 1);
            left_above = above;
        }
    }
    row[b.len()]
}
