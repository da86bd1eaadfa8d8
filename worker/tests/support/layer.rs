//! A layer over storage that sees every call before and after its effect, and may fail or hold it.

#![allow(dead_code, reason = "each test uses its part")]

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use musubi_lake::Store;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};

/// Before or after the effect of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum When {
    Before,
    After,
}

/// A call: what is done, and to which path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) what: &'static str,
    pub(crate) path: String,
    pub(crate) when: When,
}

impl Call {
    /// The call without what differs from run to run: two calls of one place in the code look alike.
    pub(crate) fn site(&self) -> String {
        let plain = |part: &str| {
            part.split(['-', '_', '.'])
                .filter(|w| !w.bytes().any(|b| b.is_ascii_digit()))
                .collect::<Vec<_>>()
                .join("-")
        };
        let path: Vec<String> = self.path.split('/').map(plain).collect();
        format!("{:?} {} {}", self.when, self.what, path.join("/"))
    }

    /// What a call that shall fail says.
    pub(crate) fn failure(&self) -> object_store::Error {
        object_store::Error::Generic {
            store: "layer",
            source: format!("injected {self:?}").into(),
        }
    }
}

/// What happens at a call.
pub(crate) type Hook = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// The store behind a layer.
pub(crate) fn over(store: Store, hook: Hook) -> Store {
    store.behind(|inner| Arc::new(Layer { inner, hook }))
}

struct Layer {
    inner: Arc<dyn ObjectStore>,
    hook: Hook,
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

fn call(what: &'static str, path: &impl fmt::Display, when: When) -> Call {
    Call {
        what,
        path: path.to_string(),
        when,
    }
}

async fn around<T>(
    hook: &Hook,
    what: &'static str,
    path: &Path,
    effect: impl Future<Output = Result<T>>,
) -> Result<T> {
    hook(call(what, path, When::Before)).await?;
    let done = effect.await?;
    hook(call(what, path, When::After)).await?;
    Ok(done)
}

#[async_trait]
impl ObjectStore for Layer {
    async fn put_opts(&self, at: &Path, payload: PutPayload, o: PutOptions) -> Result<PutResult> {
        let what = match o.mode {
            object_store::PutMode::Overwrite => "put",
            object_store::PutMode::Create => "create",
            object_store::PutMode::Update(_) => "swap",
        };
        around(&self.hook, what, at, self.inner.put_opts(at, payload, o)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        o: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = self.inner.put_multipart_opts(at, o);
        let inner = around(&self.hook, "begin", at, begin).await?;
        Ok(Box::new(Upload {
            inner,
            path: at.clone(),
            hook: self.hook.clone(),
        }))
    }

    async fn get_opts(&self, at: &Path, o: GetOptions) -> Result<GetResult> {
        let what = if o.head { "head" } else { "get" };
        around(&self.hook, what, at, self.inner.get_opts(at, o)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, hook) = (self.inner.clone(), self.hook.clone());
        let one = move |path: Result<Path>| {
            let (inner, hook) = (inner.clone(), hook.clone());
            async move {
                let path = path?;
                let one = path.clone();
                let mut deleted = inner.delete_stream(stream::once(async { Ok(one) }).boxed());
                let effect = async { deleted.next().await.unwrap_or(Ok(path.clone())) };
                around(&hook, "delete", &path, effect).await
            }
        };
        paths.then(one).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, hook) = (self.inner.clone(), self.hook.clone());
        let prefix = prefix.cloned();
        let before = call("list", &prefix.clone().unwrap_or_default(), When::Before);
        stream::once(async move { hook(before).await })
            .flat_map(move |gone_well| match gone_well {
                Ok(()) => inner.list(prefix.as_ref()),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            })
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let shown = prefix.cloned().unwrap_or_default();
        let effect = self.inner.list_with_delimiter(prefix);
        around(&self.hook, "list", &shown, effect).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, o: CopyOptions) -> Result<()> {
        around(&self.hook, "copy", to, self.inner.copy_opts(from, to, o)).await
    }
}

struct Upload {
    inner: Box<dyn MultipartUpload>,
    path: Path,
    hook: Hook,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (hook, path) = (self.hook.clone(), self.path.clone());
        let part = self.inner.put_part(data);
        Box::pin(async move { around(&hook, "part", &path, part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let hook = self.hook.clone();
        around(&hook, "complete", &self.path, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
