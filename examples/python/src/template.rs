//! What an environ is copied from.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyDict, PyString};
use serve_forever::wsgi::Environ;

use crate::input::Input;
use crate::strings::{Keys, value_of};

/// After how many requests another environ is learnt. Clients change, so an old environ has less and
/// less in common with a request. To learn one costs more than to copy it, so it is not done often.
const LEARNT_USES: u32 = 64;

/// The variables that every request has.
const REQUEST_KEYS: [&str; 8] = [
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REQUEST_METHOD",
    "REQUEST_URI",
    "SERVER_PROTOCOL",
];

/// The key and the value of a variable.
type Variable = (Py<PyAny>, Py<PyAny>);

/// What the environs are copied from.
#[derive(Debug)]
pub struct Template {
    /// The variables of the base environ that it was made of.
    base: Vec<Variable>,
    /// The `sys.stderr` that it was made with.
    stderr: Py<PyAny>,
    /// The environ without the values of a request. It has the keys that every request has, so its
    /// copy does not have to grow.
    pub empty: Py<PyDict>,
    /// The environ of an earlier request.
    pub learnt: Option<Learnt>,
}

/// The environ of an earlier request. Most values of the next request are the same, so it costs
/// least to copy this one and to set what differs.
#[derive(Debug)]
pub struct Learnt {
    /// The environ, as if the request had no body.
    environ: Py<PyDict>,
    /// The variables of that request, in the order in which they are visited.
    variables: Vec<LearntVariable>,
    /// Their keys and values, one after the other. Strings of their own would be in many places of
    /// the memory, which a busy processor does not have in its cache.
    text: String,
    /// How many requests it was compared with.
    uses: u32,
}

#[derive(Debug)]
struct LearntVariable {
    key: Py<PyString>,
    /// The length of the key in the text, in bytes.
    key_length: usize,
    /// The length of the value in the text, in bytes.
    value_length: usize,
}

/// How an environ is made.
pub struct Recipe<'py> {
    /// Is copied.
    pub original: Bound<'py, PyDict>,
    /// What has to be set then. `None`: all variables of the request.
    pub differences: Option<Differences<'py>>,
    /// Whether the environ is to be learnt, so that the next ones are copied from it.
    pub must_learn: bool,
}

/// The keys and values that differ.
pub type Differences<'py> = Vec<(Bound<'py, PyString>, Bound<'py, PyString>)>;

impl Template {
    /// Makes a template. Its environs have the variables of `base` and of `gateway`, `stderr` as
    /// `wsgi.errors`, and `no_input` as `wsgi.input`.
    pub fn new(
        base: &Bound<'_, PyDict>,
        gateway: &Bound<'_, PyDict>,
        stderr: Bound<'_, PyAny>,
        no_input: &Bound<'_, Input>,
    ) -> PyResult<Template> {
        let py = base.py();
        let empty = PyDict::new(py);
        for key in REQUEST_KEYS {
            empty.set_item(PyString::intern(py, key), "")?;
        }
        let variables: Vec<_> = with_critical_section(base, || base.iter().collect());
        for (key, value) in &variables {
            empty.set_item(key, value)?;
        }
        empty.update(gateway.as_mapping())?;
        empty.set_item(intern!(py, "wsgi.errors"), &stderr)?;
        empty.set_item(intern!(py, "wsgi.input"), no_input)?;
        let variables = variables.into_iter();
        Ok(Template {
            base: variables
                .map(|(key, value)| (key.unbind(), value.unbind()))
                .collect(),
            stderr: stderr.unbind(),
            empty: empty.unbind(),
            learnt: None,
        })
    }

    /// Returns whether it was made of the same objects as there are now. The program may change
    /// `base` on another thread. A Python without the interpreter's lock locks the dictionary.
    pub fn is_of(&self, base: &Bound<'_, PyDict>, stderr: &Bound<'_, PyAny>) -> bool {
        stderr.is(&self.stderr)
            && with_critical_section(base, || {
                let mut variables = base.iter().zip(&self.base);
                base.len() == self.base.len()
                    && variables.all(|((key, value), made)| key.is(&made.0) && value.is(&made.1))
            })
    }

    /// Returns how the environ of a request is made.
    pub fn recipe<'py>(&mut self, py: Python<'py>, request: &Environ<'_>) -> Recipe<'py> {
        let learnt = self.learnt.as_mut().filter(|it| it.uses < LEARNT_USES);
        let must_learn = learnt.is_none();
        if let Some(learnt) = learnt {
            learnt.uses += 1;
            if let Some(differences) = learnt.differences(py, request) {
                return Recipe {
                    original: learnt.environ.bind(py).clone(),
                    differences: Some(differences),
                    must_learn: false,
                };
            }
        }
        Recipe {
            original: self.empty.bind(py).clone(),
            differences: None,
            must_learn,
        }
    }
}

impl Learnt {
    /// Learns the `environ` of a `request`. Its keys are those of `keys`.
    pub fn new(environ: Bound<'_, PyDict>, request: &Environ<'_>, keys: &mut Keys) -> Learnt {
        let py = environ.py();
        let (mut variables, mut text) = (Vec::new(), String::new());
        for_each_variable(request, |key, value| {
            text.push_str(key);
            text.push_str(value);
            variables.push(LearntVariable {
                key: keys.known(py, key).unbind(),
                key_length: key.len(),
                value_length: value.len(),
            });
        });
        Learnt {
            environ: environ.unbind(),
            variables,
            text,
            uses: 0,
        }
    }

    /// Returns what differs in this request. `None`: it has other variables.
    fn differences<'py>(&self, py: Python<'py>, request: &Environ<'_>) -> Option<Differences<'py>> {
        let mut differences = Vec::new();
        let mut variables = self.variables.iter();
        let mut text = &*self.text;
        let mut next = |length| {
            let (next, rest) = text.split_at_checked(length).unwrap_or_default();
            text = rest;
            next
        };
        let mut has_these = true;
        for_each_variable(request, |key, value| {
            match variables
                .next()
                .filter(|learnt| next(learnt.key_length) == key)
            {
                Some(learnt) if next(learnt.value_length) == value => {}
                Some(learnt) => {
                    differences.push((learnt.key.bind(py).clone(), value_of(py, value)));
                }
                None => has_these = false,
            }
        });
        (has_these && variables.next().is_none()).then_some(differences)
    }
}

/// Lends the variables of a request to `visit`. `SERVER_NAME` is that of the base environ.
pub fn for_each_variable(request: &Environ<'_>, mut visit: impl FnMut(&str, &str)) {
    request.for_each_besides_wsgi(|key, value| {
        if key != "SERVER_NAME" {
            visit(key, value);
        }
    });
}
