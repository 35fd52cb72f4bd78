//! Message context: typed properties, each *written*, *promoted* or *distinguished*
//! (manual pages "About BizTalk Message Context Properties", "Promoting Properties").
//!
//! A written property travels with the message; a promoted one also takes part in routing and is
//! limited in length; a distinguished one holds a field of the body by its XPath, always as text.

use crate::{system, value::Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;
use std::fmt;

/// The longest text a promoted value may have, in characters. The manual gives 255 on two pages and
/// 256 on one; we take the smaller promise of the reading side and accept 256 (decision 0005).
pub const PROMOTED_TEXT_MAX: usize = 256;

/// Namespace of distinguished fields; the property's name is then the field's XPath.
pub const DISTINGUISHED: &str = "http://schemas.microsoft.com/BizTalk/2003/btsDistinguishedFields";

/// The full name of a property: namespace and local name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// Local name, for example `ReceivePortName`.
    pub local: SmolStr,
    /// Namespace URI of the property schema.
    pub namespace: SmolStr,
}

impl Name {
    /// A name from its parts.
    pub fn new(namespace: impl Into<SmolStr>, local: impl Into<SmolStr>) -> Self {
        Self { local: local.into(), namespace: namespace.into() }
    }

    /// A name known at compile time; costs nothing.
    #[must_use]
    pub const fn known(namespace: &'static str, local: &'static str) -> Self {
        Self { local: SmolStr::new_static(local), namespace: SmolStr::new_static(namespace) }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    /// Local name first: it differs sooner than the namespace.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.local.cmp(&other.local).then_with(|| self.namespace.cmp(&other.namespace))
    }
}

impl fmt::Display for Name {
    /// `BTS.ReceivePortName` where the namespace has a prefix, else `{namespace}name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match system::prefix_of(&self.namespace) {
            Some(prefix) => write!(f, "{prefix}.{}", self.local),
            None => write!(f, "{{{}}}{}", self.namespace, self.local),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Wire form of [`Name`]: well-known namespaces shrink to their number in the list of
/// [`system::NAMESPACES`], which may therefore only grow at its end.
#[derive(Serialize, Deserialize)]
enum NameWire<'a> {
    Known(u8, &'a str),
    Full(&'a str, &'a str),
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match system::namespace_number(&self.namespace) {
            Some(number) => NameWire::Known(number, &self.local),
            None => NameWire::Full(&self.namespace, &self.local),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NameWire::deserialize(deserializer)? {
            NameWire::Known(number, local) => match system::NAMESPACES.get(usize::from(number)) {
                Some((_, namespace)) => Ok(Self { local: local.into(), namespace: SmolStr::new_static(namespace) }),
                None => Err(serde::de::Error::custom("unknown namespace number")),
            },
            NameWire::Full(namespace, local) => Ok(Self::new(namespace, local)),
        }
    }
}

/// How a property takes part in the message's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Travels with the message, not routable, any length.
    Written,
    /// Routable; at most [`PROMOTED_TEXT_MAX`] characters; needs a property schema.
    Promoted,
    /// A body field by XPath, for orchestrations; always text.
    Distinguished,
}

/// One property of a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Property {
    /// Full name.
    pub name: Name,
    /// Typed value.
    pub value: Value,
    /// Written, promoted or distinguished.
    pub kind: Kind,
}

/// Why a property could not be set.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PropertyError {
    /// A promoted value is longer than [`PROMOTED_TEXT_MAX`] characters.
    #[error(
        "property {name} cannot be promoted: its value has {length} characters, at most {PROMOTED_TEXT_MAX} are allowed. Write it instead of promoting it, or promote a shorter field"
    )]
    TooLong {
        /// The property.
        name: Name,
        /// Characters in the value.
        length: usize,
    },
    /// A value that cannot be stored: text with a NUL or other character XML forbids.
    #[error("property {name} has a value that cannot be stored: {reason}")]
    NotSerializable {
        /// The property.
        name: Name,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// The context of a message: its properties, ordered by name, each name at most once.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Context(Vec<Property>);

impl Context {
    /// An empty context.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Writes a property. Writing over a promoted one leaves it un-promoted, as documented.
    pub fn write(&mut self, name: Name, value: Value) {
        self.set(Property { name, value, kind: Kind::Written });
    }

    /// Promotes a property.
    ///
    /// # Errors
    /// [`PropertyError`] when the value is too long or cannot be stored; the context is unchanged.
    pub fn promote(&mut self, name: Name, value: Value) -> Result<(), PropertyError> {
        if let Value::String(text) = &value {
            check_promotable(&name, text)?;
        }
        self.set(Property { name, value, kind: Kind::Promoted });
        Ok(())
    }

    /// Sets a distinguished field, named by its XPath.
    pub fn distinguish(&mut self, xpath: &str, text: &str) {
        self.set(Property {
            name: Name::new(SmolStr::new_static(DISTINGUISHED), xpath),
            value: Value::string(text),
            kind: Kind::Distinguished,
        });
    }

    /// Removes a property; returns it if it was there.
    pub fn remove(&mut self, name: &Name) -> Option<Property> {
        self.position(name).ok().map(|at| self.0.remove(at))
    }

    /// The value of a property of any kind.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<&Value> {
        self.property(name).map(|p| &p.value)
    }

    /// A property with its kind.
    #[must_use]
    pub fn property(&self, name: &Name) -> Option<&Property> {
        self.position(name).ok().and_then(|at| self.0.get(at))
    }

    /// The text of a string property.
    #[must_use]
    pub fn text(&self, name: &Name) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// All properties in order of name.
    pub fn iter(&self) -> impl Iterator<Item = &Property> {
        self.0.iter()
    }

    /// All properties in order of name, for readers that keep positions.
    #[must_use]
    pub fn as_slice(&self) -> &[Property] {
        &self.0
    }

    /// The properties that take part in routing.
    pub fn promoted(&self) -> impl Iterator<Item = &Property> {
        self.0.iter().filter(|p| p.kind == Kind::Promoted)
    }

    /// Turns every promoted property into a written one. Done when a message is handed to its
    /// subscriber, so that publishing it again cannot match the same subscription for ever
    /// (manual page "IBaseMessage Interface").
    pub fn demote_all(&mut self) {
        for property in &mut self.0 {
            if property.kind == Kind::Promoted {
                property.kind = Kind::Written;
            }
        }
    }

    /// How many properties there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn set(&mut self, property: Property) {
        match self.position(&property.name) {
            Ok(at) => self.0[at] = property,
            Err(at) => self.0.insert(at, property),
        }
    }

    fn position(&self, name: &Name) -> Result<usize, usize> {
        self.0.binary_search_by(|p| p.name.cmp(name))
    }
}

fn check_promotable(name: &Name, text: &str) -> Result<(), PropertyError> {
    if text.len() > PROMOTED_TEXT_MAX {
        let length = text.chars().count();
        if length > PROMOTED_TEXT_MAX {
            return Err(PropertyError::TooLong { name: name.clone(), length });
        }
    }
    if text.bytes().any(|b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) {
        return Err(PropertyError::NotSerializable { name: name.clone(), reason: "it contains a control character" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::bts;

    #[test]
    fn writing_over_a_promoted_property_demotes_it() {
        let mut context = Context::new();
        context.promote(bts::MESSAGE_TYPE, Value::string("a#b")).unwrap();
        assert_eq!(context.promoted().count(), 1);
        context.write(bts::MESSAGE_TYPE, Value::string("a#c"));
        assert_eq!(context.promoted().count(), 0);
        assert_eq!(context.len(), 1);
    }

    #[test]
    fn a_promoted_value_has_a_limit_and_the_error_says_what_to_do() {
        let mut context = Context::new();
        let ok = "ä".repeat(PROMOTED_TEXT_MAX);
        context.promote(bts::MESSAGE_TYPE, Value::string(ok)).unwrap();
        let err = context.promote(bts::MESSAGE_TYPE, Value::string("x".repeat(PROMOTED_TEXT_MAX + 1))).unwrap_err();
        assert!(err.to_string().contains("BTS.MessageType") && err.to_string().contains("257"), "{err}");
        assert!(context.promote(bts::MESSAGE_TYPE, Value::string("a\0b")).is_err());
        context.write(bts::MESSAGE_TYPE, Value::string("x".repeat(10_000)));
    }

    #[test]
    fn demotion_keeps_values() {
        let mut context = Context::new();
        context.promote(bts::MESSAGE_TYPE, Value::string("a#b")).unwrap();
        context.distinguish("/*/a", "1");
        context.demote_all();
        assert_eq!(context.promoted().count(), 0);
        assert_eq!(context.text(&bts::MESSAGE_TYPE), Some("a#b"));
    }
}
