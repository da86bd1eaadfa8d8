//! All resources that were read, and the run that is made from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    audience::AudienceSpec,
    node::Node,
    pipeline::CustomerPipelineSpec,
    policy::IdentityPolicySpec,
    problem::{Problem, Problems, hint},
    resource::{Kind, Resource},
    run::{RUN_FORMAT, Run},
    secrets::Secrets,
    source::SourceSpec,
    validate,
    warehouse::WarehouseSpec,
};

/// A resource and where it stands.
#[derive(Clone, Debug)]
pub struct Document {
    /// File that holds it.
    pub file: PathBuf,
    /// Position in the file, from 0.
    pub index: usize,
    /// Name.
    pub name: String,
    /// Namespace; `default` when none is given.
    pub namespace: String,
    /// What it says. Paths are absolute.
    pub resource: Resource,
    pub(crate) node: Node,
}

impl Document {
    /// A problem with one of its fields.
    #[must_use]
    pub fn problem(&self, field: &str, message: impl Into<String>) -> Problem {
        let place = self.node.find(field);
        Problem {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            resource: format!("{}/{}", self.resource.kind().as_str(), self.name),
            field: field.to_owned(),
            message: message.into(),
        }
    }

    /// Line on which it starts, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.node.place.line
    }
}

/// All resources that were read. Names are unique per kind.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    documents: BTreeMap<(Kind, String), Document>,
    secrets: Secrets,
    /// Resources that exist but are wrong: references to them are no further problem.
    pub(crate) refused: BTreeSet<(Kind, String)>,
    /// Wrong resources as they were probably meant.
    pub(crate) mended: Vec<Mended>,
}

/// A wrong resource as it was probably meant, and the fields that are known to be wrong.
#[derive(Clone, Debug)]
pub(crate) struct Mended {
    pub(crate) document: Document,
    pub(crate) known: Vec<String>,
}

impl Mended {
    /// Whether a problem has nothing to do with what is known to be wrong.
    pub(crate) fn is_new(&self, problem: &Problem) -> bool {
        let field = problem.field.as_str();
        !self
            .known
            .iter()
            .any(|known| known.starts_with(field) || field.starts_with(known.as_str()))
    }
}

macro_rules! getters {
    ($($one:ident, $kind:ident, $spec:ty;)*) => {$(
        #[doc = concat!("The ", stringify!($kind), " of a name.")]
        #[must_use]
        pub fn $one(&self, name: &str) -> Option<&$spec> {
            match &self.document(Kind::$kind, name)?.resource {
                Resource::$kind(spec) => Some(spec),
                _ => None,
            }
        }
    )*};
}

impl Catalog {
    getters! {
        source, Source, SourceSpec;
        policy, IdentityPolicy, IdentityPolicySpec;
        warehouse, Warehouse, WarehouseSpec;
        audience, Audience, AudienceSpec;
        pipeline, CustomerPipeline, CustomerPipelineSpec;
    }

    pub(crate) fn add(&mut self, document: Document) -> Result<(), Problem> {
        let key = (document.resource.kind(), document.name.clone());
        if let Some(first) = self.documents.get(&key) {
            return Err(document.problem(
                "metadata.name",
                format!(
                    "there is a {} of this name already, at {}:{}: rename or remove one",
                    key.0.as_str(),
                    first.file.display(),
                    first.line(),
                ),
            ));
        }
        if let Resource::Secret(data) = &document.resource {
            self.secrets.add(&document.name, data.clone());
        }
        self.documents.insert(key, document);
        Ok(())
    }

    /// A document by kind and name.
    #[must_use]
    pub fn document(&self, kind: Kind, name: &str) -> Option<&Document> {
        self.documents.get(&(kind, name.to_owned()))
    }

    /// All documents, by kind and name.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values()
    }

    /// Names of a kind, in order.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.documents
            .keys()
            .filter(move |(k, _)| *k == kind)
            .map(|(_, name)| name.as_str())
    }

    /// Resolves references to secrets.
    #[must_use]
    pub const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Checks what schema and CEL cannot: references, mappings, expressions, patterns.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn validate(&self) -> Result<(), Problems> {
        Problems::new(self.findings()).or(())
    }

    pub(crate) fn findings(&self) -> Vec<Problem> {
        let right = self
            .documents()
            .flat_map(|document| validate::document(self, document));
        let mended = self.mended.iter().flat_map(|mended| {
            let found = validate::document(self, &mended.document);
            found.into_iter().filter(|problem| mended.is_new(problem))
        });
        right.chain(mended).collect()
    }

    /// Says when a name refers to nothing.
    pub(crate) fn reference(
        &self,
        from: &Document,
        field: &str,
        kind: Kind,
        name: &str,
    ) -> Option<Problem> {
        let key = (kind, name.to_owned());
        if self.documents.contains_key(&key) || self.refused.contains(&key) {
            return None;
        }
        let hint = hint(name, self.names(kind));
        Some(from.problem(
            field,
            format!(
                "there is no {} `{name}` in the files given: {hint}",
                kind.as_str()
            ),
        ))
    }

    /// Makes the content of `run.yaml`: the pipeline of this name (or the only one), with all that it
    /// refers to. Secrets stay references.
    ///
    /// # Errors
    /// No such pipeline, several to choose from, or whatever of its resources is missing or wrong.
    pub fn resolve_run(
        &self,
        pipeline: Option<&str>,
        uid: &str,
        as_of: Timestamp,
    ) -> Result<Run, Problems> {
        let name = self.choose(pipeline)?;
        let document = self
            .document(Kind::CustomerPipeline, name)
            .ok_or_else(|| Problem::file("", format!("there is no pipeline `{name}`")))?;
        let Resource::CustomerPipeline(spec) = &document.resource else {
            return Err(Problem::file("", "not a pipeline").into());
        };
        Problems::new(validate::pipeline_closure(self, document)).or(())?;
        let policy = match &spec.identity_policy {
            Some(policy) => self.policy(policy).cloned(),
            None => None,
        };
        Ok(Run {
            format: RUN_FORMAT,
            uid: uid.to_owned(),
            pipeline: name.to_owned(),
            namespace: document.namespace.clone(),
            as_of,
            spec: (**spec).clone(),
            sources: pick(&spec.sources, |n| self.source(n)),
            policy: policy.unwrap_or_default(),
            warehouses: pick(&spec.warehouses, |n| self.warehouse(n)),
            audiences: pick(&spec.audiences, |n| self.audience(n)),
            allow: Vec::new(),
            replay: None,
        })
    }

    fn choose<'a>(&'a self, pipeline: Option<&'a str>) -> Result<&'a str, Problem> {
        let names: Vec<&str> = self.names(Kind::CustomerPipeline).collect();
        let say = |message: String| Err(Problem::file("", message));
        match (pipeline, names.as_slice()) {
            (Some(name), _) if names.contains(&name) => Ok(name),
            (Some(name), _) => say(format!(
                "there is no CustomerPipeline `{name}`: {}",
                hint(name, names.iter().copied())
            )),
            (None, [only]) => Ok(only),
            (None, []) => say("there is no CustomerPipeline in the files given".into()),
            (None, many) => say(format!(
                "there are several pipelines: choose one of {}",
                many.join(", ")
            )),
        }
    }
}

fn pick<'a, T: Clone + 'a>(
    names: &[String],
    get: impl Fn(&str) -> Option<&'a T>,
) -> BTreeMap<String, T> {
    names
        .iter()
        .filter_map(|name| Some((name.clone(), get(name)?.clone())))
        .collect()
}

/// Makes relative paths start at the file that holds the resource.
pub(crate) fn absolute_paths(document: &mut Document) {
    let file = std::path::absolute(&document.file).unwrap_or_else(|_| document.file.clone());
    let base = file.parent().unwrap_or(Path::new("/")).to_owned();
    let fix = |path: &mut String| *path = absolute(&base, path);
    match &mut document.resource {
        Resource::Source(source) => source
            .connector
            .folder
            .iter_mut()
            .for_each(|f| fix(&mut f.path)),
        Resource::Warehouse(w) => w.sqlite.iter_mut().for_each(|s| fix(&mut s.path)),
        Resource::Audience(a) => a.destination.file.iter_mut().for_each(|f| fix(&mut f.path)),
        Resource::CustomerPipeline(p) => p.lake.folder.iter_mut().for_each(fix),
        _ => {}
    }
}

/// `path` from `base`, without `.` and `..` (by name: links are not followed).
fn absolute(base: &Path, path: &str) -> String {
    let mut out = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            part => out.push(part),
        }
    }
    out.to_string_lossy().into_owned()
}
