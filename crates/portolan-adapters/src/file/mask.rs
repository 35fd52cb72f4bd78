//! Masks: which names in a receive folder belong to the location. A name is judged by its text alone;
//! this must never look at the file.

use super::config::ReceiveSettings;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// Ending of a file while it is taken in, when the location renames.
pub const IN_PROGRESS: &str = ".PTL-WIP";
/// The same ending of the reference product, which may share the folder; and of its unfinished outputs.
const FOREIGN_IN_PROGRESS: &str = ".BTS-WIP";
/// Beginning of the send side's temporary files.
pub const TEMPORARY: &str = ".portolan-";

/// The compiled masks of a location.
#[derive(Clone, Debug)]
pub struct MaskSet {
    set: GlobSet,
    takes_hidden: bool,
}

impl MaskSet {
    /// Compiles the masks.
    ///
    /// # Errors
    /// The position of the wrong mask in the list, and what is wrong with it.
    pub fn new(settings: &ReceiveSettings) -> Result<Self, (usize, String)> {
        let masks = settings.mask.list();
        if masks.is_empty() {
            return Err((0, "there is no mask, so no file would ever be taken".to_owned()));
        }
        let mut set = GlobSetBuilder::new();
        for (at, mask) in masks.iter().enumerate() {
            if mask.is_empty() {
                return Err((at, "the mask is empty".to_owned()));
            }
            if let Some(bad) = mask.chars().find(|c| matches!(c, '/' | '\\') || c.is_control()) {
                return Err((at, format!("the mask {mask:?} contains {bad:?}; a mask is a name, not a path")));
            }
            let glob = GlobBuilder::new(mask).case_insensitive(!settings.mask_case_sensitive).literal_separator(true).build();
            set.add(glob.map_err(|e| (at, format!("the mask {mask:?} cannot be read: {}", e.kind())))?);
        }
        let set = set.build().map_err(|e| (0, format!("the masks cannot be used: {e}")))?;
        Ok(Self { set, takes_hidden: masks.iter().any(|m| m.starts_with('.')) })
    }

    /// Whether the location takes a file of this name.
    pub fn takes(&self, name: &OsStr) -> bool {
        let bytes = name.as_bytes();
        let hidden = bytes.first() == Some(&b'.');
        !(hidden && (!self.takes_hidden || bytes.starts_with(TEMPORARY.as_bytes())))
            && !ends_with(bytes, IN_PROGRESS)
            && !ends_with(bytes, FOREIGN_IN_PROGRESS)
            && self.set.is_match(name)
    }

    /// The original name of a file that this location left behind half taken in.
    pub fn left_behind<'a>(&self, name: &'a OsStr) -> Option<&'a OsStr> {
        let original = OsStr::from_bytes(name.as_bytes().strip_suffix(IN_PROGRESS.as_bytes())?);
        self.takes(original).then_some(original)
    }
}

fn ends_with(name: &[u8], ending: &str) -> bool {
    name.len() >= ending.len() && name[name.len() - ending.len()..].eq_ignore_ascii_case(ending.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn masks(mask: serde_json::Value, case: bool) -> Result<MaskSet, (usize, String)> {
        MaskSet::new(&serde_json::from_value(json!({ "folder": "in", "mask": mask, "mask_case_sensitive": case })).unwrap())
    }
    fn takes(mask: &MaskSet, name: &str) -> bool {
        mask.takes(OsStr::new(name))
    }

    #[test]
    fn masks_ignore_case_unless_told_otherwise() {
        let set = masks(json!("*.xml"), false).unwrap();
        assert!(takes(&set, "a.xml") && takes(&set, "ORDER.XML") && takes(&set, "ä b.xml"));
        assert!(!takes(&set, "a.xmln") && !takes(&set, "a.txt"));
        let set = masks(json!("*.xml"), true).unwrap();
        assert!(takes(&set, "a.xml") && !takes(&set, "a.XML"));
    }

    #[test]
    fn several_masks_alternatives_and_ranges() {
        let set = masks(json!(["*.{xml,json}", "PO_[0-9]?.*"]), false).unwrap();
        assert!(takes(&set, "a.json") && takes(&set, "po_1x.edi"));
        assert!(!takes(&set, "po_xx.edi"));
    }

    #[test]
    fn hidden_unfinished_and_temporary_files_are_never_taken() {
        let set = masks(json!("*"), false).unwrap();
        for name in [".a.xml", "a.xml.BTS-WIP", "a.xml.bts-wip", "a.xml.PTL-WIP", ".portolan-1.tmp"] {
            assert!(!takes(&set, name), "{name}");
        }
        let set = masks(json!(".*"), false).unwrap();
        assert!(takes(&set, ".a.xml") && !takes(&set, ".portolan-1.tmp"));
    }

    #[test]
    fn what_a_location_left_behind_is_recognised_by_its_own_mask() {
        let set = masks(json!("*.xml"), false).unwrap();
        assert_eq!(set.left_behind(OsStr::new("a.xml.PTL-WIP")), Some(OsStr::new("a.xml")));
        assert_eq!(set.left_behind(OsStr::new("a.txt.PTL-WIP")), None);
        assert_eq!(set.left_behind(OsStr::new("a.xml")), None);
    }

    #[test]
    fn wrong_masks_say_which_and_why() {
        assert_eq!(masks(json!(["*.xml", "in/*.xml"]), false).unwrap_err().0, 1);
        assert!(masks(json!("[a"), false).unwrap_err().1.contains("[a"));
        assert!(masks(json!([]), false).is_err() && masks(json!(""), false).is_err());
    }
}
