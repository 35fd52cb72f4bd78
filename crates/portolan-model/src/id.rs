//! Identifiers. Each is a 128-bit GUID of its own type, so that a message id can never stand where
//! an instance id is meant. Creating one is the shell's work (randomness is I/O): see
//! `portolan_runtime::Ids`.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text.trim_matches(['{', '}'])).map(Self)
            }
        }
        impl $name {
            /// The form of the reference product's context properties: upper-case, in braces.
            #[must_use]
            pub fn braced(&self) -> String {
                format!("{{{}}}", self.0.hyphenated()).to_uppercase()
            }
        }
    };
}

id!(
    /// Identity of one immutable message. A changed message is a new message with a new id.
    MessageId
);
id!(
    /// Identity of one service instance: one message on its way to one subscriber.
    InstanceId
);
id!(
    /// Identity shared by all documents that came in as one interchange.
    InterchangeId
);
id!(
    /// Identity of a stored body, shared by every subscriber of its message.
    BodyId
);
id!(
    /// Identity of one commit to the MessageBox; repeating a commit with the same id changes nothing.
    BatchId
);

/// Namespace of the name-based GUIDs below.
const ARTIFACTS: Uuid = Uuid::from_u128(0x8f1c_6f2e_6f0a_4c1b_9a55_3f0e_7b1d_2a11);

/// The stable GUID of an artifact (`ReceivePortID`, `SPID`, `SPTransportID`...): derived from its
/// kind and name, so that it is the same in every environment and after every restart.
#[must_use]
pub fn artifact_guid(kind: &str, name: &str) -> String {
    format!("{{{}}}", Uuid::new_v5(&ARTIFACTS, format!("{kind}/{name}").as_bytes()).hyphenated()).to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braced_form_parses_back() {
        let id = MessageId(Uuid::from_u128(0xabc));
        assert_eq!(id.braced().parse::<MessageId>().unwrap(), id);
        assert_eq!(id.braced(), "{00000000-0000-0000-0000-000000000ABC}");
    }

    #[test]
    fn artifact_guid_depends_on_kind_and_name_only() {
        assert_eq!(artifact_guid("sendPort", "A"), artifact_guid("sendPort", "A"));
        assert_ne!(artifact_guid("sendPort", "A"), artifact_guid("receivePort", "A"));
    }
}
