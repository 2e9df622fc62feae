"""Follow a pass from outside, line by line, and record the arrays that each line makes.

Python calls a trace function before every line of a function that it runs (`sys.settrace`). The
difference between two such calls is what the line between them did. So the layers' own source lines
are the record of what they compute, and the layers contain nothing for it.
"""

import sys

from ...losses import cross_entropy
from .records import Call, is_array, layers_of
from .statements import statement_at


class Tracer:
    """Records everything that `run` passes through, in order.

    layer: a layer or model; the tracer follows it, its sub-layers, the functions of their packages
           that they call, and the loss
    meet:  called with each new Record, its array and the function's local variables, where it may
           put another array
    """

    def __init__(self, layer, meet):
        self.paths = {id(part): path for path, part in layers_of(layer)}
        modules = [__name__, *(type(part).__module__ for _, part in layers_of(layer))]
        self.packages = {module.partition(".")[0] for module in modules}
        self.meet = meet
        self.records, self.returned = [], []  # returned: calls in the order in which they ended
        self.innermost = None  # the Call that is running

    def run(self, function, *arguments):
        """Return function(*arguments), followed line by line."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            return function(*arguments)
        finally:
            sys.settrace(before)

    def _enter(self, frame, event, argument):
        """Called by Python for every function call; returns what follows its lines, or None."""
        code, parent, local = frame.f_code, self.innermost, frame.f_locals
        owner = id(local.get("self"))
        if code is cross_entropy.__code__:
            path, phase = "loss", "forward"
        elif owner in self.paths and (parent or code.co_name in ("forward", "backward")):
            path, phase = self.paths[owner], parent.phase if parent else code.co_name
        elif parent and "self" not in local and self._is_helper(frame):
            path, phase = parent.path, parent.phase
        else:
            return None
        file, start = code.co_filename, len(self.records)
        arguments = {name: local[name] for name in code.co_varnames[: code.co_argcount]}
        head = statement_at(file, code.co_firstlineno)
        call = Call(path, phase, code.co_name, file, arguments, parent, start, head, head)
        self.innermost = call

        def follow(frame, event, argument):
            """Called by Python before each line of this call, and when it returns."""
            local = frame.f_locals  # read once: reading it again would undo what `meet` puts there
            statement = statement_at(file, frame.f_lineno)
            if event == "return" or (event == "line" and statement is not call.statement):
                self._record_changes(call, local)  # of the statement before
                call.statement = statement
            if event == "return":
                self._leave(call, local, argument)
            return follow

        return follow

    def _is_helper(self, frame):
        """Whether it is a function of the layers' own packages, not of NumPy or Python."""
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        return package in self.packages and not frame.f_code.co_name.startswith("<")

    def _record_changes(self, call, local):
        arguments = call.is_helper and call.statement is call.head  # the caller has named these
        for name, array, bound in call.changes(local):
            if not arguments:
                self._record(call, name, array, bound, local)
            call.seen[name] = local.get(name, array), array.copy()
        call.outputs.clear()

    def _record(self, call, name, array, bound, local):
        record = call.record(name, array, bound, number=len(self.records))
        self.records.append(record)
        self.meet(record, array, local)
        return record

    def _leave(self, call, local, result):
        y, call.cache = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        if is_array(y):
            last = call.last_record_of(y)
            call.returned = last or self._record(call, "return", y, True, local)
            if call.parent and call.function == "forward":
                call.parent.outputs[id(y)] = call
        call.seen.clear()  # frees the arrays
        self.returned.append(call)
        self.innermost = call.parent
