//! Two calls at once, one of which must not delay the other for long.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

/// Awaits `main`, and `extra` beside it: on a slow way, one after the other would take twice as long.
/// Once `main` has ended, `extra` has `bound` left; `None` when that was not enough.
pub(super) async fn beside<M, X>(
    main: impl Future<Output = M>,
    extra: impl Future<Output = X>,
    bound: Duration,
) -> (M, Option<X>) {
    let (mut main, mut extra) = (pin!(main), pin!(extra));
    tokio::select! {
        main = &mut main => (main, timeout(bound, extra).await.ok()),
        extra = &mut extra => (main.await, Some(extra)),
    }
}
