//! The management token: made at the first start, kept in the data folder where only its owner can
//! read it, shown by clients with every request. Beside it stands the address, for clients to find.

use portolan_model::secret::Secret;
use serde::{Deserialize, Serialize};
use std::{fs, io, io::Write, net::SocketAddr, os::unix::fs::OpenOptionsExt, path::Path};

/// File in the data folder that holds the token.
const TOKEN_FILE: &str = "management.token";
/// File in the data folder that tells where the API listens.
const ADDRESS_FILE: &str = "management.json";

/// The token.
#[derive(Clone, Debug)]
pub struct Token(Secret<String>);

/// Where a running host listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whereabouts {
    /// Address of the management API.
    pub address: SocketAddr,
    /// Process id of the host.
    pub pid: u32,
}

impl Token {
    /// Reads the token of a data folder, or makes one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn of(data: &Path) -> io::Result<Self> {
        match Self::read(data) {
            Ok(token) => Ok(token),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
                let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(data.join(TOKEN_FILE))?;
                writeln!(file, "{text}")?;
                file.sync_all()?;
                Ok(Self(Secret::new(text)))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the token of a data folder.
    ///
    /// # Errors
    /// When there is none, or it cannot be read or is too short to be one.
    pub fn read(data: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(data.join(TOKEN_FILE))?.trim().to_owned();
        if text.len() < 32 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{TOKEN_FILE} holds no token; remove the file and start the server again"),
            ));
        }
        Ok(Self(Secret::new(text)))
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, shown: &str) -> bool {
        let (own, shown) = (self.0.expose().as_bytes(), shown.as_bytes());
        own.len() == shown.len() && own.iter().zip(shown).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }

    /// The value of the `Authorization` header.
    #[must_use]
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0.expose())
    }
}

impl Whereabouts {
    /// Tells clients where this process listens.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        fs::write(data.join(ADDRESS_FILE), serde_json::to_vec(self)?)
    }

    /// Finds the host of a data folder.
    ///
    /// # Errors
    /// When no host has ever run there.
    pub fn read(data: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(data.join(ADDRESS_FILE))?)?)
    }

    /// Forgets it: the host has stopped.
    pub fn remove(data: &Path) {
        // A file that is left over only makes a client say that nobody answers.
        let _ = fs::remove_file(data.join(ADDRESS_FILE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::of(folder.path()).unwrap();
        let header = token.header();
        let text = header.strip_prefix("Bearer ").unwrap();
        assert!(Token::of(folder.path()).unwrap().matches(text));
        assert!(!token.matches("") && !token.matches(&text[1..]));
        assert_eq!(fs::metadata(folder.path().join(TOKEN_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{token:?}").contains(text));
    }
}
