//! Typed values of context properties and the documented mapping from XML Schema types
//! (manual page "Promoting Properties"): *Integer→Decimal, int→Int32, short→Int16, byte→SByte,
//! unsigned*→Byte/UInt16/UInt32, float→Single, double→Double, decimal→Decimal, every date and time
//! type→DateTime in UTC, boolean→Boolean, everything string-like→String.

use crate::time::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::{Decimal, prelude::ToPrimitive};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::{cmp::Ordering, fmt};

/// The type of a property value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ValueType {
    String,
    Boolean,
    SByte,
    Byte,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Decimal,
    Single,
    Double,
    DateTime,
}

/// A typed property value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Value {
    String(SmolStr),
    Boolean(bool),
    SByte(i8),
    Byte(u8),
    Int16(i16),
    UInt16(u16),
    Int32(i32),
    UInt32(u32),
    Decimal(Decimal),
    Single(f32),
    Double(f64),
    DateTime(Timestamp),
}

/// Why a text is no value of the wanted type.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValueError {
    /// The text does not parse as the type.
    #[error("\"{text}\" is not a value of type {wanted:?}")]
    NotOfType {
        /// The offending text, shortened to 60 characters.
        text: String,
        /// The type it should have had.
        wanted: ValueType,
    },
    /// The XML Schema type may not be promoted.
    #[error("a field of XML Schema type {0} cannot be promoted (see the manual page \"Promoting Properties\")")]
    NotPromotable(String),
}

impl ValueType {
    /// The property type of an XML Schema built-in type, by local name.
    ///
    /// # Errors
    /// [`ValueError::NotPromotable`] for the types the manual excludes.
    pub fn from_xsd(local_name: &str) -> Result<Self, ValueError> {
        Ok(match local_name {
            "base64Binary" | "hexBinary" | "duration" | "ENTITIES" | "IDREFS" | "NMTOKENS" | "long" | "unsignedLong" => {
                return Err(ValueError::NotPromotable(local_name.to_owned()));
            }
            "integer" | "negativeInteger" | "nonNegativeInteger" | "nonPositiveInteger" | "positiveInteger" | "decimal" => Self::Decimal,
            "int" => Self::Int32,
            "short" => Self::Int16,
            "byte" => Self::SByte,
            "unsignedByte" => Self::Byte,
            "unsignedShort" => Self::UInt16,
            "unsignedInt" => Self::UInt32,
            "float" => Self::Single,
            "double" => Self::Double,
            "date" | "dateTime" | "time" | "gDay" | "gMonth" | "gMonthDay" | "gYear" | "gYearMonth" => Self::DateTime,
            "boolean" => Self::Boolean,
            _ => Self::String,
        })
    }

    /// Whether values of this type have an order, so that `<`, `<=`, `>`, `>=` make sense. Strings and
    /// booleans allow only `==`, `!=` and `exists`.
    #[must_use]
    pub fn is_ordered(self) -> bool {
        !matches!(self, Self::String | Self::Boolean)
    }
}

impl Value {
    /// A string value.
    pub fn string(text: impl Into<SmolStr>) -> Self {
        Self::String(text.into())
    }

    /// The type of this value.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::String(_) => ValueType::String,
            Self::Boolean(_) => ValueType::Boolean,
            Self::SByte(_) => ValueType::SByte,
            Self::Byte(_) => ValueType::Byte,
            Self::Int16(_) => ValueType::Int16,
            Self::UInt16(_) => ValueType::UInt16,
            Self::Int32(_) => ValueType::Int32,
            Self::UInt32(_) => ValueType::UInt32,
            Self::Decimal(_) => ValueType::Decimal,
            Self::Single(_) => ValueType::Single,
            Self::Double(_) => ValueType::Double,
            Self::DateTime(_) => ValueType::DateTime,
        }
    }

    /// Reads `text` as a value of type `wanted`, with XML Schema's lexical rules. `zone` is the zone
    /// of date-times that carry none.
    ///
    /// # Errors
    /// [`ValueError::NotOfType`] when the text does not fit.
    pub fn parse(wanted: ValueType, text: &str, zone: &TimeZone) -> Result<Self, ValueError> {
        let wrong = || ValueError::NotOfType { text: text.chars().take(60).collect(), wanted };
        let t = text.trim();
        let number = t.strip_prefix('+').unwrap_or(t);
        Ok(match wanted {
            ValueType::String => Self::String(text.into()),
            ValueType::Boolean => Self::Boolean(match t {
                "true" | "1" | "True" => true,
                "false" | "0" | "False" => false,
                _ => return Err(wrong()),
            }),
            ValueType::SByte => Self::SByte(number.parse().map_err(|_| wrong())?),
            ValueType::Byte => Self::Byte(number.parse().map_err(|_| wrong())?),
            ValueType::Int16 => Self::Int16(number.parse().map_err(|_| wrong())?),
            ValueType::UInt16 => Self::UInt16(number.parse().map_err(|_| wrong())?),
            ValueType::Int32 => Self::Int32(number.parse().map_err(|_| wrong())?),
            ValueType::UInt32 => Self::UInt32(number.parse().map_err(|_| wrong())?),
            ValueType::Decimal => Self::Decimal(number.parse().map_err(|_| wrong())?),
            ValueType::Single => Self::Single(parse_float(t).ok_or_else(wrong)? as f32),
            ValueType::Double => Self::Double(parse_float(t).ok_or_else(wrong)?),
            ValueType::DateTime => Self::DateTime(parse_date_time(t, zone).ok_or_else(wrong)?),
        })
    }

    /// Typed comparison of two values. Numbers of any type compare by value, date-times by moment,
    /// strings and booleans with their like. `None` when the two cannot be compared, or for NaN.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::String(a), Self::String(b)) => Some(a.cmp(b)),
            (Self::Boolean(a), Self::Boolean(b)) => Some(a.cmp(b)),
            (Self::DateTime(a), Self::DateTime(b)) => Some(a.cmp(b)),
            (Self::Single(_) | Self::Double(_), _) | (_, Self::Single(_) | Self::Double(_)) => self.as_f64()?.partial_cmp(&other.as_f64()?),
            _ => Some(self.as_decimal()?.cmp(&other.as_decimal()?)),
        }
    }

    /// The value as a decimal, for the whole-number and decimal types.
    #[must_use]
    pub fn as_decimal(&self) -> Option<Decimal> {
        Some(match self {
            Self::SByte(v) => (*v).into(),
            Self::Byte(v) => (*v).into(),
            Self::Int16(v) => (*v).into(),
            Self::UInt16(v) => (*v).into(),
            Self::Int32(v) => (*v).into(),
            Self::UInt32(v) => (*v).into(),
            Self::Decimal(v) => *v,
            _ => return None,
        })
    }

    /// The value as a floating-point number, for every number type. Equal numbers give the same
    /// result whatever their type and scale, so that it can serve as the key of an index.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Single(v) => Some(f64::from(*v)),
            Self::Double(v) => Some(*v),
            _ => self.as_decimal()?.normalize().to_f64(),
        }
    }

    /// The text, when this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    /// The demotion text form (XML Schema lexical form, date-times in UTC with `Z`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(v) => f.write_str(v),
            Self::Boolean(v) => v.fmt(f),
            Self::SByte(v) => v.fmt(f),
            Self::Byte(v) => v.fmt(f),
            Self::Int16(v) => v.fmt(f),
            Self::UInt16(v) => v.fmt(f),
            Self::Int32(v) => v.fmt(f),
            Self::UInt32(v) => v.fmt(f),
            Self::Decimal(v) => v.fmt(f),
            Self::Single(v) => write_float(f, f64::from(*v), v),
            Self::Double(v) => write_float(f, *v, v),
            Self::DateTime(v) => v.fmt(f),
        }
    }
}

/// XML Schema writes infinity its own way; everything else as Rust does.
fn write_float(f: &mut fmt::Formatter<'_>, number: f64, text: &dyn fmt::Display) -> fmt::Result {
    if number.is_infinite() { f.write_str(if number > 0.0 { "INF" } else { "-INF" }) } else { text.fmt(f) }
}

fn parse_float(text: &str) -> Option<f64> {
    match text {
        "INF" | "+INF" => Some(f64::INFINITY),
        "-INF" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // Rust also reads "inf" and "infinity", which XML Schema does not know.
        _ if text.bytes().any(|b| b.is_ascii_alphabetic() && b != b'e' && b != b'E') => None,
        _ => text.parse().ok(),
    }
}

/// Reads every XML Schema date and time type; the parts a type lacks are those of 0001-01-01T00:00:00.
fn parse_date_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if text.contains('T') {
        return Timestamp::parse(text, zone).ok();
    }
    let (body, suffix) = split_zone(text);
    let full = match body.as_bytes() {
        [b'-', b'-', b'-', ..] => format!("0001-01-{}T00:00:00", &body[3..]),
        [b'-', b'-', ..] if body.len() == 4 => format!("0001-{}-01T00:00:00", &body[2..]),
        [b'-', b'-', ..] => format!("0001-{}T00:00:00", &body[2..]),
        b if b.contains(&b':') => format!("0001-01-01T{body}"),
        _ => match body.matches('-').count() {
            0 => format!("{body}-01-01T00:00:00"),
            1 => format!("{body}-01T00:00:00"),
            _ => format!("{body}T00:00:00"),
        },
    };
    Timestamp::parse(&format!("{full}{suffix}"), zone).ok()
}

/// Splits a trailing `Z` or `±hh:mm` from a date or time.
fn split_zone(text: &str) -> (&str, &str) {
    if let Some(body) = text.strip_suffix('Z') {
        return (body, "Z");
    }
    let bytes = text.as_bytes();
    let at = text.len().saturating_sub(6);
    if text.is_char_boundary(at) && bytes.len() > 6 && matches!(bytes[at], b'+' | b'-') && bytes[at + 3] == b':' {
        return text.split_at(at);
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wanted: ValueType, text: &str) -> Option<String> {
        Value::parse(wanted, text, &TimeZone::UTC).ok().map(|v| v.to_string())
    }

    #[test]
    fn xsd_types_map_as_documented() {
        assert_eq!(ValueType::from_xsd("positiveInteger").unwrap(), ValueType::Decimal);
        assert_eq!(ValueType::from_xsd("unsignedByte").unwrap(), ValueType::Byte);
        assert_eq!(ValueType::from_xsd("gYearMonth").unwrap(), ValueType::DateTime);
        assert_eq!(ValueType::from_xsd("anyURI").unwrap(), ValueType::String);
        assert!(ValueType::from_xsd("long").is_err());
    }

    #[test]
    fn every_date_and_time_type_is_read() {
        for (text, want) in [
            ("2026-05-04", "2026-05-04T00:00:00.0000000Z"),
            ("2026-05-04+02:00", "2026-05-03T22:00:00.0000000Z"),
            ("2026", "2026-01-01T00:00:00.0000000Z"),
            ("2026-05", "2026-05-01T00:00:00.0000000Z"),
            ("13:20:00Z", "0001-01-01T13:20:00.0000000Z"),
            ("--05-04", "0001-05-04T00:00:00.0000000Z"),
            ("--05", "0001-05-01T00:00:00.0000000Z"),
            ("---04", "0001-01-04T00:00:00.0000000Z"),
        ] {
            assert_eq!(read(ValueType::DateTime, text).as_deref(), Some(want), "{text}");
        }
        assert_eq!(read(ValueType::DateTime, "soon"), None);
    }

    #[test]
    fn numbers_compare_by_value_across_types() {
        let small = Value::Int32(5);
        assert_eq!(small.compare(&Value::Decimal(Decimal::new(50, 1))), Some(Ordering::Equal));
        assert_eq!(small.compare(&Value::Double(5.5)), Some(Ordering::Less));
        assert_eq!(small.compare(&Value::string("5")), None);
        assert_eq!(Value::Double(f64::NAN).compare(&Value::Double(1.0)), None);
    }

    #[test]
    fn out_of_range_and_odd_numbers_are_refused() {
        assert_eq!(read(ValueType::Byte, "256"), None);
        assert_eq!(read(ValueType::Double, "infinity"), None);
        assert_eq!(read(ValueType::Double, "-INF").as_deref(), Some("-INF"));
        assert_eq!(read(ValueType::Int32, "+7").as_deref(), Some("7"));
        assert_eq!(read(ValueType::Boolean, "yes"), None);
    }
}
