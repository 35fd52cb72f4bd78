//! The command line's side of the management API.

use crate::{
    api::{
        answer::Problem,
        token::{Token, Whereabouts},
    },
    config, registry,
};
use clap::Args;
use portolan_model::code;
use reqwest::{Method, Response};
use serde::{Serialize, de::DeserializeOwned};
use std::{io, path::PathBuf};

/// Which server a command talks to.
#[derive(Args, Debug, Clone)]
pub struct Connection {
    /// Application folder of the running server.
    #[arg(short, long, default_value = ".", global = true)]
    application: PathBuf,
    /// Its data folder, if it was started with --data.
    #[arg(long, env = "PORTOLAN_DATA", global = true)]
    data: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// A connection to a running server.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Token,
    data: PathBuf,
}

impl Connection {
    /// Runs asynchronous work of a command.
    pub fn run<T>(&self, work: impl AsyncFnOnce(&Client) -> Result<T, String>) -> Result<T, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let client = self.connect()?;
        runtime.block_on(work(&client))
    }

    fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| config::load(&self.application, None, &registry()).server.data_folder)
    }

    fn connect(&self) -> Result<Client, String> {
        let data = self.data();
        let found = Whereabouts::read(&data).and_then(|whereabouts| Ok((whereabouts, Token::read(&data)?)));
        match found {
            Ok((whereabouts, token)) => {
                let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
                Ok(Client { http, base: format!("http://{}", whereabouts.address), token, data })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_running(&format!(
                "no server runs with the data folder {}. Start one with `portolan run`, or name its application folder with --application or its data folder with --data",
                data.display()
            ))),
            Err(error) => Err(not_running(&format!("{}: {error}", data.display()))),
        }
    }
}

impl Client {
    /// Asks for JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, String> {
        self.read(self.send(self.request(Method::GET, path, query)?).await?).await
    }

    /// Changes the state of something.
    pub async fn put<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        self.read(self.send(self.request(Method::PUT, path, &())?).await?).await
    }

    /// Sends JSON.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, String> {
        let text = serde_json::to_string(body).map_err(|error| error.to_string())?;
        let request = self.request(Method::POST, path, &())?.header("content-type", "application/json").body(text);
        self.read(self.send(request).await?).await
    }

    /// Sends bytes.
    pub async fn post_bytes<T: DeserializeOwned>(&self, path: &str, body: impl Into<reqwest::Body>) -> Result<T, String> {
        let request = self.request(Method::POST, path, &())?.header("content-type", "application/octet-stream").body(body);
        self.read(self.send(request).await?).await
    }

    /// Asks for bytes.
    pub async fn download(&self, path: &str) -> Result<Response, String> {
        self.send(self.request(Method::GET, path, &())?).await
    }

    fn request(&self, method: Method, path: &str, query: &impl Serialize) -> Result<reqwest::RequestBuilder, String> {
        let mut url = reqwest::Url::parse(&self.base).map_err(|error| error.to_string())?;
        // Names may hold any character: each step of the path is encoded on its own.
        url.path_segments_mut().map_err(|()| "bad address".to_owned())?.extend(path.split('/').map(decode));
        let value = serde_json::to_value(query).map_err(|error| error.to_string())?;
        for (key, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            url.query_pairs_mut().append_pair(key, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        Ok(self.http.request(method, url).header("authorization", self.token.header()))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, String> {
        let answer = request.send().await.map_err(|_| {
            not_running(&format!(
                "the server of the data folder {} does not answer at {}: it was stopped or has failed",
                self.data.display(),
                self.base
            ))
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => Err(format!("{} {}: {}", problem.code, problem.title, problem.detail)),
            Err(_) => Err(format!("the server answered {status}: {text}")),
        }
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, String> {
        let text = answer.text().await.map_err(|error| format!("the answer broke off: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("the server's answer is not understood (is it another version?): {error}"))
    }
}

/// A step of a path in which `/` was written as `%2F`.
fn decode(step: &str) -> String {
    step.replace("%2F", "/")
}

/// Writes `/` of a name so that it stays inside its step of the path.
#[must_use]
pub fn step(name: &str) -> String {
    name.replace('/', "%2F")
}

fn not_running(text: &str) -> String {
    format!("{} {}: {text}", code::NOT_RUNNING, code::NOT_RUNNING.title)
}
