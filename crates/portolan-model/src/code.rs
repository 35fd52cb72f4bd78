//! Error codes. Every failure an operator can meet has a code `PTLnnnn` with a page in
//! `docs/errors/` (`portolan explain PTL0101`): what happened, likely causes, what to do. Codes carry
//! the reference product's number where one exists, because users filter on it.

use std::fmt;

/// One error code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code {
    /// `PTL0101`.
    pub id: &'static str,
    /// One line for tables.
    pub title: &'static str,
    /// The reference product's status code, if there is a matching one.
    pub number: Option<u32>,
    /// The page, in Markdown.
    pub page: &'static str,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl Code {
    /// The value of `ErrorReport.FailureCode`: the number in hex where there is one, else the id.
    #[must_use]
    pub fn failure_code(&self) -> String {
        self.number.map_or_else(|| self.id.to_owned(), |n| format!("0x{n:08x}"))
    }

    /// Finds a code by id (any case) or by hex number.
    #[must_use]
    pub fn find(text: &str) -> Option<&'static Self> {
        ALL.iter().find(|c| c.id.eq_ignore_ascii_case(text) || c.number.is_some() && c.failure_code().eq_ignore_ascii_case(text))
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $konst:ident = $id:literal, $title:literal, $number:expr;)*) => {
        $($(#[$doc])* #[doc = $title] pub const $konst: Code = Code { id: $id, title: $title, number: $number, page: include_str!(concat!("../../../docs/errors/", $id, ".md")) };)*
        /// Every code, in order.
        pub const ALL: &[Code] = &[$($konst),*];
    };
}

codes! {
    CONFIG_SYNTAX = "PTL0001", "The configuration file is not valid YAML", None;
    CONFIG_SHAPE = "PTL0002", "A configuration value is missing, unknown or of the wrong type", None;
    CONFIG_REFERENCE = "PTL0003", "The configuration names something that does not exist", None;
    CONFIG_DUPLICATE = "PTL0004", "Two artifacts have the same name or address", None;
    CONFIG_VALUE = "PTL0005", "A configuration value makes no sense", None;
    CONFIG_SCHEMA = "PTL0006", "An XML schema cannot be used", None;
    CONFIG_SECRET = "PTL0007", "A secret cannot be read", None;
    PIPELINE_FAILED = "PTL0101", "A receive pipeline failed", Some(0xC0C0_1208);
    NO_SUBSCRIPTION = "PTL0102", "No subscription matches the message (routing failure)", Some(0xC0C0_1680);
    SEND_PIPELINE_FAILED = "PTL0103", "A send pipeline failed", Some(0xC0C0_1658);
    MAP_FAILED = "PTL0104", "A map failed", None;
    PROPERTY_INVALID = "PTL0105", "A property cannot be promoted", Some(0xC0C0_1473);
    URL_DISALLOWED = "PTL0106", "The message names a receive location that is unknown or disabled", Some(0xC0C0_164B);
    XML_NOT_WELL_FORMED = "PTL0110", "The message is not well-formed XML", Some(0xC0C0_146A);
    XML_NO_SCHEMA = "PTL0111", "No schema is deployed for the document", Some(0xC0C0_1462);
    XML_NOT_EXPECTED = "PTL0112", "The document type is not among the pipeline's schemas", Some(0xC0C0_1470);
    XML_DTD_REFUSED = "PTL0113", "The message has a document type definition", None;
    XML_LIMIT = "PTL0114", "The message exceeds an XML limit", None;
    XML_ENVELOPE = "PTL0115", "The envelope does not have the structure its schema promises", Some(0xC0C0_1484);
    XML_NO_DATA = "PTL0116", "The message has no body", Some(0xC0C0_1435);
    XML_CHARSET = "PTL0117", "The character set of the message is unknown or wrong", None;
    ASSEMBLER_FAILED = "PTL0118", "The XML assembler cannot build the output", Some(0xC0C0_182A);
    PROBE_FAILED = "PTL0119", "No disassembler recognises the message", Some(0xC0C0_1464);
    PORT_STOPPED = "PTL0201", "The send port is stopped: the message waits", None;
    SEND_FAILED = "PTL0202", "Delivery failed and will be tried again", None;
    SEND_EXHAUSTED = "PTL0203", "Delivery failed and all retries are used", None;
    SEND_TO_BACKUP = "PTL0204", "Delivery moves to the backup transport", None;
    NO_BACKUP = "PTL0205", "There is no backup transport", Some(0xC0C0_162E);
    SEND_REFUSED = "PTL0206", "The destination refused the message for good", None;
    PORT_MISSING = "PTL0207", "The send port of a message is no longer deployed", None;
    LOCATION_FAILED = "PTL0301", "A receive location cannot reach its source", None;
    LOCATION_RECOVERED = "PTL0302", "A receive location works again", None;
    FILE_NOT_REMOVED = "PTL0303", "A received file cannot be removed", None;
    FILE_LOCKED = "PTL0304", "A file cannot be read", None;
    LISTENER_FAILED = "PTL0305", "A listener cannot be opened", None;
    FILE_EMPTY = "PTL0306", "An empty file was deleted without processing", None;
    STORE_FULL = "PTL0401", "The disk of the MessageBox is full", Some(0xC0C0_1623);
    STORE_FAILED = "PTL0402", "The MessageBox cannot write", Some(0xC0C0_1623);
    STORE_RECOVERED = "PTL0403", "The MessageBox works again", None;
    STORE_LOCKED = "PTL0404", "Another process uses the data folder", None;
    STORE_CORRUPT = "PTL0405", "A record of the MessageBox is damaged", None;
    STORE_VERSION = "PTL0406", "The data folder was written by a newer version", None;
    SHUTTING_DOWN = "PTL0501", "The host is shutting down", Some(0xC0C0_163C);
    SERVER_STARTED = "PTL0502", "The host has started", None;
    SERVER_STOPPED = "PTL0503", "The host has stopped", None;
    APPLICATION_RELOADED = "PTL0504", "The application was reloaded", None;
    OPERATOR_ACTION = "PTL0505", "An operator changed something", None;
    NOT_RUNNING = "PTL0601", "The server cannot be reached", None;
    NOT_AUTHORIZED = "PTL0602", "The request is not authorised", None;
    NOT_FOUND = "PTL0603", "There is no such artifact or instance", None;
    NOT_ALLOWED = "PTL0604", "The operation is not allowed in this state", None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ordered_and_have_a_full_page() {
        assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
        for code in ALL {
            for heading in ["## What happened", "## Likely causes", "## What to do"] {
                assert!(code.page.contains(heading), "{} lacks {heading}", code.id);
            }
            assert!(code.page.starts_with(&format!("# {}: {}", code.id, code.title)), "{}: wrong first line", code.id);
        }
    }

    #[test]
    fn a_code_is_found_by_id_and_by_number() {
        assert_eq!(Code::find("ptl0102"), Some(&NO_SUBSCRIPTION));
        assert_eq!(Code::find("0xC0C01680"), Some(&NO_SUBSCRIPTION));
        assert_eq!(Code::find("PTL9999"), None);
    }
}
