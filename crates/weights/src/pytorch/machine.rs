//! Reads a pickle without executing it: a machine with a stack that only ever builds plain data.
//!
//! Source of the instructions: `python/cpython:Lib/pickletools.py`. Those of protocols 2 to 5 are
//! known, and of the older ones what `torch.save` has ever written.

mod harm;
mod literals;

use std::collections::HashMap;

use super::{
    problem::{MAX_VALUES, PyTorchProblem},
    tape::Tape,
    value::{Id, Span, Value, Values},
};

const NONE: Id = Id(0);
const TRUE: Id = Id(1);
const FALSE: Id = Id(2);
const NOTHING: Id = Id(3);

/// Instructions of a pickle that stand inside each other: never more than this.
const MAX_MARKS: usize = 1 << 16;

#[derive(Debug)]
pub(crate) struct Unpickler<'a> {
    tape: Tape<'a>,
    values: Values,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// How often a value was put into another one.
    uses: usize,
}

/// What stops the machine.
enum Failure {
    File(PyTorchProblem),
    /// At the instruction that was being done.
    Here(String),
}

impl From<PyTorchProblem> for Failure {
    fn from(problem: PyTorchProblem) -> Failure {
        Failure::File(problem)
    }
}

type Step<T = ()> = Result<T, Failure>;

fn wrong<T>(problem: impl Into<String>) -> Step<T> {
    Err(Failure::Here(problem.into()))
}

impl<'a> Unpickler<'a> {
    pub(crate) fn new(tape: Tape<'a>) -> Unpickler<'a> {
        let values = Values {
            all: vec![Value::None, Value::Bool(true), Value::Bool(false), Value::Tuple([].into())],
            ..Values::default()
        };
        let (stack, marks, memo) = Default::default();
        Unpickler { tape, values, stack, marks, memo, uses: 0 }
    }

    /// Reads the next pickle and returns its root.
    pub(crate) fn next(&mut self) -> Result<Id, PyTorchProblem> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        loop {
            let at = self.tape.at;
            let op = self.tape.byte()?;
            let done = match op {
                b'.' => self.pop().map(Some),
                _ => self.step(op).map(|()| None),
            };
            match done {
                Ok(Some(root)) => return Ok(root),
                Ok(None) => {}
                Err(Failure::File(problem)) => return Err(problem),
                Err(Failure::Here(problem)) => return Err(PyTorchProblem::Pickle { at, problem }),
            }
        }
    }

    /// The values of all pickles, and where the last one ended.
    pub(crate) fn finish(self) -> (Values, u64) {
        (Values { bytes: self.tape.bytes, ..self.values }, self.tape.at as u64)
    }

    fn step(&mut self, op: u8) -> Step {
        match op {
            0x80 => self.protocol(),
            0x95 => self.tape.take(8).map(drop).map_err(Failure::from),
            b'(' => self.mark(),
            b'0' | b'1' => self.drop_top(op),
            b'2' => {
                let top = self.pop()?;
                self.push(top)?;
                self.push(top)
            }
            b'N' => self.push(NONE),
            0x88 => self.push(TRUE),
            0x89 => self.push(FALSE),
            b')' => self.push(NOTHING),
            b'K' | b'M' | b'J' | b'G' | b'I' | b'F' | 0x8a | 0x8b => self.scalar(op),
            b'X' | b'U' | b'T' | b'B' | b'C' | 0x8c | 0x8d | 0x8e | 0x96 => self.text(op),
            b']' | 0x8f => self.add(Value::List(Vec::new())),
            b'}' => self.add(Value::Dict(Vec::new())),
            b't' | 0x85..=0x87 | b'l' | b'd' | 0x91 => self.collect(op),
            b'a' | b'e' | 0x90 => self.append(op),
            b's' | b'u' => self.set_items(op),
            b'c' | 0x93 => self.global(op),
            b'R' | 0x81 | 0x92 => self.call(op),
            b'b' => self.build(),
            b'Q' => {
                let id = self.pop()?;
                self.add(Value::Outside(id))
            }
            b'q' | b'r' | b'p' | 0x94 => self.remember(op),
            b'h' | b'j' | b'g' => self.recall(op),
            _ => wrong(format!("found the instruction 0x{op:02x}, which is not read")),
        }
    }

    fn protocol(&mut self) -> Step {
        match self.tape.byte()? {
            0..=5 => Ok(()),
            found => wrong(format!("found protocol {found}, need 5 or an older one")),
        }
    }

    fn mark(&mut self) -> Step {
        if self.marks.len() >= MAX_MARKS {
            return wrong(format!("more than {MAX_MARKS} open brackets"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Where the values of the innermost bracket begin on the stack; closes it.
    fn open(&mut self) -> Step<usize> {
        let start = self.marks.pop();
        start.map_or_else(|| wrong("closes a bracket that is not open"), Ok)
    }

    fn drop_top(&mut self, op: u8) -> Step {
        let at_mark = self.marks.last() == Some(&self.stack.len());
        if op == b'1' || at_mark {
            let start = self.open()?;
            self.stack.truncate(start);
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop(&mut self) -> Step<Id> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(top) if self.stack.len() >= bottom => Ok(top),
            _ => wrong("takes a value where there is none"),
        }
    }

    fn push(&mut self, id: Id) -> Step {
        self.count_uses(1)?;
        self.stack.push(id);
        Ok(())
    }

    /// Every use of a value costs memory: together they must stay below the limit.
    fn count_uses(&mut self, uses: usize) -> Step {
        self.uses = self.uses.saturating_add(uses);
        match self.uses {
            0..=MAX_VALUES => Ok(()),
            _ => Err(PyTorchProblem::Limit { limit: MAX_VALUES as u64, what: "values" }.into()),
        }
    }

    fn add(&mut self, value: Value) -> Step {
        let id = Id(self.values.all.len() as u32);
        self.values.all.push(value);
        self.push(id)
    }

    fn collect(&mut self, op: u8) -> Step {
        let start = match op {
            0x85..=0x87 => {
                let len = usize::from(op - 0x84);
                let bottom = self.marks.last().copied().unwrap_or(0);
                match self.stack.len().checked_sub(len).filter(|start| *start >= bottom) {
                    Some(start) => start,
                    None => return wrong("takes a value where there is none"),
                }
            }
            _ => self.open()?,
        };
        let members = self.stack.split_off(start);
        self.count_uses(members.len())?;
        let value = match op {
            b'l' | 0x91 => Value::List(members),
            b'd' => Value::Dict(pairs(&members)?),
            _ => Value::Tuple(members.into()),
        };
        self.add(value)
    }

    fn append(&mut self, op: u8) -> Step {
        let start = match op {
            b'a' => self.stack.len().saturating_sub(1),
            _ => self.open()?,
        };
        let members = self.stack.split_off(start.min(self.stack.len()));
        self.count_uses(members.len())?;
        let target = self.top()?;
        match &mut self.values.all[target.0 as usize] {
            Value::List(list) => list.extend(members),
            // A subclass of a list, whose members nobody looks at.
            Value::Call(..) | Value::Instance(_) => {}
            _ => return wrong("appends to something else than a list"),
        }
        Ok(())
    }

    fn set_items(&mut self, op: u8) -> Step {
        let start = match op {
            b's' => self.stack.len().saturating_sub(2),
            _ => self.open()?,
        };
        let members = self.stack.split_off(start.min(self.stack.len()));
        self.count_uses(members.len())?;
        let entries = pairs(&members)?;
        let target = self.top()?;
        match &mut self.values.all[target.0 as usize] {
            Value::Dict(dict) => dict.extend(entries),
            Value::Call(..) | Value::Instance(_) => {
                self.values.items.entry(target).or_default().extend(entries);
            }
            _ => return wrong("sets an entry of something else than a dictionary"),
        }
        Ok(())
    }

    fn top(&self) -> Step<Id> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(top) if self.stack.len() > bottom => Ok(*top),
            _ => wrong("takes a value where there is none"),
        }
    }

    fn global(&mut self, op: u8) -> Step {
        let (module, name) = match op {
            b'c' => (self.tape.line()?, self.tape.line()?),
            _ => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.values.get(module), self.values.get(name)) {
                    (Value::Text(module), Value::Text(name)) => (*module, *name),
                    _ => return wrong("names a class by something else than texts"),
                }
            }
        };
        self.check_harmless(module, name)?;
        self.add(Value::Global(module, name))
    }

    fn check_harmless(&self, module: Span, name: Span) -> Step {
        let text = |span| std::str::from_utf8(self.slice(span));
        let (Ok(module), Ok(name)) = (text(module), text(name)) else {
            return wrong("the name of a class is not a text");
        };
        if harm::runs_code(module, name) {
            let name = format!("{module}.{name}");
            return Err(PyTorchProblem::RunsCode { name }.into());
        }
        Ok(())
    }

    fn call(&mut self, op: u8) -> Step {
        let keywords = if op == 0x92 { Some(self.pop()?) } else { None };
        let (args, callable) = (self.pop()?, self.pop()?);
        self.count_uses(2 + usize::from(keywords.is_some()))?;
        let value = match (op, self.global_name(callable)) {
            (b'R', Some((b"collections", b"OrderedDict"))) => self.ordered_dict(args)?,
            (b'R', Some((b"copyreg" | b"copy_reg", b"_reconstructor"))) => {
                match self.values.members(args).and_then(<[Id]>::first) {
                    Some(class) => Value::Instance(*class),
                    None => return wrong("an instance without a class"),
                }
            }
            (b'R', _) => Value::Call(callable, args),
            _ => Value::Instance(callable),
        };
        self.add(value)
    }

    /// `OrderedDict()`, filled afterwards, or of a list of pairs, as Python 2 writes it.
    fn ordered_dict(&mut self, args: Id) -> Step<Value> {
        let Some(list) = self.values.members(args).and_then(<[Id]>::first) else {
            return Ok(Value::Dict(Vec::new()));
        };
        let members = self.values.members(*list).unwrap_or_default();
        let pair = |id: &Id| match self.values.members(*id) {
            Some([key, value]) => Ok((*key, *value)),
            _ => wrong("an OrderedDict of something else than pairs"),
        };
        let entries: Vec<(Id, Id)> = members.iter().map(pair).collect::<Step<_>>()?;
        self.count_uses(entries.len() * 2)?;
        Ok(Value::Dict(entries))
    }

    fn build(&mut self) -> Step {
        let state = self.pop()?;
        let target = self.top()?;
        self.count_uses(1)?;
        self.values.states.insert(target, state);
        Ok(())
    }

    fn remember(&mut self, op: u8) -> Step {
        let key = match op {
            0x94 => self.memo.len() as u32,
            _ => self.memo_key(op)?,
        };
        let top = self.top()?;
        self.count_uses(1)?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, op: u8) -> Step {
        let key = self.memo_key(op)?;
        match self.memo.get(&key) {
            Some(id) => self.push(*id),
            None => wrong(format!("recalls value {key}, which was not remembered")),
        }
    }

    fn global_name(&self, id: Id) -> Option<(&[u8], &[u8])> {
        match self.values.get(id) {
            Value::Global(module, name) => Some((self.slice(*module), self.slice(*name))),
            _ => None,
        }
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.tape.bytes[span.start as usize..][..span.len as usize]
    }
}

/// Keys and values, which take turns.
fn pairs(members: &[Id]) -> Step<Vec<(Id, Id)>> {
    let (pairs, rest) = members.as_chunks::<2>();
    if !rest.is_empty() {
        return wrong("a key without a value");
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}
