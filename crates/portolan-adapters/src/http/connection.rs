//! One connection: TLS, HTTP/1.1 or HTTP/2, and the patience limits that keep slow clients from
//! occupying it. Must never wait for a client without an end.

use super::{listener::Shared, request, stall::StallGuard};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For the header of a request, and for a connection without one.
const HEADER: Duration = Duration::from_secs(30);
/// Bytes of a request's header, all fields together.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// HTTP/2: requests at once on one connection.
const MAX_STREAMS: u32 = 128;

/// Serves a connection until it ends, is idle too long, or the listener closes.
pub async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, stop: watch::Receiver<bool>) {
    // Answers are small and go out in one piece: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let stream = StallGuard::new(stream);
    let Some(config) = shared.tls.as_ref().map(super::tls::LiveConfig::current) else {
        return speak(stream, false, peer, shared, stop).await;
    };
    match timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            speak(stream, http2, peer, shared, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, listener = %shared.address, %error, "the TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, listener = %shared.address, "the TLS handshake took too long"),
    }
}

/// Counts one request in work.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn speak<S>(stream: S, http2: bool, peer: SocketAddr, shared: Arc<Shared>, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let running = Arc::new(AtomicUsize::new(0));
    let service = service_fn({
        let running = running.clone();
        move |incoming| {
            running.fetch_add(1, Ordering::Relaxed);
            let guard = Running(running.clone());
            let shared = shared.clone();
            async move {
                let _guard = guard;
                Ok::<_, Infallible>(request::answer(&shared, peer, incoming).await)
            }
        }
    });
    let builder = builder(http2);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut look = tokio::time::interval(HEADER / 3);
    let mut busy = Instant::now();
    let mut closing = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%peer, %error, "a connection ended early");
                }
                return;
            }
            _ = stop.wait_for(|stop| *stop), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            // HTTP/1 has its own limit for the time between requests; HTTP/2 has none.
            _ = look.tick(), if http2 => {
                if running.load(Ordering::Relaxed) > 0 {
                    busy = Instant::now();
                } else if busy.elapsed() > HEADER * 2 {
                    return;
                } else if busy.elapsed() > HEADER && !closing {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn builder(http2: bool) -> Builder<TokioExecutor> {
    let builder = Builder::new(TokioExecutor::new());
    // Never both: guessing the version from the first bytes has no time limit.
    let mut builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER).max_buf_size(MAX_HEADER_BYTES).half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .keep_alive_interval(HEADER)
        .keep_alive_timeout(HEADER);
    builder
}
