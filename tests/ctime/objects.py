#!/usr/bin/env python3
"""objects: reads the machine code of the functions that handle secrets, in a program as it is shipped, and looks for what constant time
forbids: a jump that depends on a secret, an address that depends on one, a division of one.

usage: objects.py PROGRAM ROOT... [--public FUNCTION...] [--least N]

From each ROOT all functions are read that it calls, directly or not (of calls through pointers, those whose address is taken), but those named --public (they handle nothing secret, or are
BoringSSL's). What is secret is followed through registers, flags, masks and the stack, along every path of a function: secret is what
is loaded from memory (but constants of the program, addressed by rip, what the function itself has put on its stack from a public register,
and what --public-load names), every vector and mask argument, and whatever is computed from a secret. Prints what it read; exit code 1 when something was found, or less than N functions
were there to read.
"""
import argparse
import re
import subprocess
import sys

GP = {}
for names in ("rax eax ax al ah", "rbx ebx bx bl bh", "rcx ecx cx cl ch", "rdx edx dx dl dh", "rsi esi si sil", "rdi edi di dil",
              "rbp ebp bp bpl", "rsp esp sp spl"):
    for n in names.split():
        GP[n] = names.split()[0]
for i in range(8, 16):
    for suffix in ("", "d", "w", "b"):
        GP[f"r{i}{suffix}"] = f"r{i}"
CALLER_SAVED = {"rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"}
REGISTER = re.compile(r"\b([xyz]mm\d+|k[0-7]|[re]?[abcd]x|[abcd][lh]|[re]?[sd]il?|[re]?[sb]pl?|r\d+[dwb]?)\b")
MEMORY = re.compile(r"\[([^\]]*)\]")
LINE = re.compile(r"^\s+([0-9a-f]+):\s+(?:(?:notrack|bnd|lock|data16|cs|rep|repz|repnz)\s+)*(\S+)\s*(.*?)\s*(?:#.*)?$")
FLAGS_ONLY = re.compile(r"cmp|test|bt|comis[sd]|ucomis[sd]|vu?comis[sd]|v?ptest|kortest[bwdq]|ktest[bwdq]|vtestp[sd]")
KEEPS_FLAGS = re.compile(r"mov.*|vp?(?!test|comis|ucomis|testp).*|v[a-z].*|lea|push|pop|nop.*|endbr64|xchg|bswap|set\w+|cmov\w+|mulx|rorx|sarx|shlx|"
                         r"shrx|pdep|pext|k(?!ortest|test).*|not|cdq|cqo|cdqe|cwde|prefetch.*|leave|p(?!test|cmp.stri).*|rdtsc.*|jmp|ret|call")
CONDITIONAL = re.compile(r"j(?!mp)\w+|loop\w*")
DIVISION = re.compile(r"i?div")


def canonical(name):
    """The name under which a register's taint is kept: a part of a register is the register."""
    if name in GP:
        return GP[name]
    return "v" + name[3:] if name[1:3] == "mm" else name


def split_operands(text):
    """The operands of an instruction; commas inside brackets do not part them."""
    out, depth, at = [], 0, ""
    for c in text:
        depth += c in "[({"
        depth -= c in "])}"
        if c == "," and depth == 0:
            out.append(at.strip())
            at = ""
        else:
            at += c
    return out + [at.strip()] if at.strip() else out


class Instruction:
    def __init__(self, address, name, operands):
        self.address, self.name, self.text = address, name, operands
        self.operands = split_operands(re.sub(r"<[^>]*>", "", operands))
        self.target = None
        m = re.match(r"([0-9a-f]+)\b", operands)
        if m and (name == "call" or name.startswith("j") or name.startswith("loop")):
            self.target = int(m.group(1), 16)
        m = re.search(r"<([^>+@]+)(@plt)?(\+0x[0-9a-f]+)?>", operands)
        self.callee = m.group(1) if m and not m.group(3) else None
        self.taken = None  # the function whose address this instruction takes

    def __str__(self):
        return f"{self.address:x}: {self.name} {self.text}"


def program_read(path):
    """{function: [Instruction]} of a program's machine code; parts that a compiler has split off are functions, too."""
    out = subprocess.run(["objdump", "-d", "-M", "intel", "--no-show-raw-insn", path], check=True, capture_output=True, text=True).stdout
    functions, current = {}, None
    for line in out.splitlines():
        head = re.match(r"^[0-9a-f]+ <([^>]+)>:$", line)
        if head:
            current = functions.setdefault(head.group(1), [])
            continue
        m = LINE.match(line)
        if m and current is not None:
            current.append(Instruction(int(m.group(1), 16), m.group(2), m.group(3)))
            taken = re.search(r"# [0-9a-f]+ <([^>+@]+)>$", line)
            if m.group(2) == "lea" and taken:
                current[-1].taken = taken.group(1)
    return functions


def memory_of(operand):
    m = MEMORY.search(operand)
    return m.group(1) if m else None


def address_registers(memory):
    return {canonical(r) for r in REGISTER.findall(memory)}


def size_of(operand):
    for word, size in (("ZMMWORD", 64), ("YMMWORD", 32), ("XMMWORD", 16), ("QWORD", 8), ("DWORD", 4), ("BYTE", 1), ("WORD", 2)):
        if word + " PTR" in operand or word + " BCST" in operand:
            return size
    return 64


def slot_of(memory):
    """(base, offset) of a fixed place on the stack; None for any other place."""
    m = re.fullmatch(r"(rsp|rbp)([+-]0x[0-9a-f]+)?", memory)
    return (m.group(1), int(m.group(2) or "0", 16)) if m else None


class State:
    """What is known at one point: which registers (and flags) are secret, and which octets of the stack, by base and offset, hold what this
    function itself stored there from a register that was not. Everything else in memory is secret."""
    __slots__ = ("names", "public", "pointers")

    def __init__(self, names=(), public=(), pointers=()):
        self.names, self.public, self.pointers = set(names), set(public), set(pointers)

    def copy(self):
        return State(self.names, self.public, self.pointers)

    def join(self, other):
        """Keeps what is known on both paths; True when that is less than before."""
        before = len(self.names) - len(self.public) - len(self.pointers)
        self.names |= other.names
        self.public &= other.public
        self.pointers &= other.pointers
        return len(self.names) - len(self.public) - len(self.pointers) != before


def plain(name):
    """A function's name in the source: without what the compiler adds to its copies and parts."""
    return re.sub(r"(\.(isra|constprop|part|lto_priv|cold)(\.\d+)?)+$", "", name or "")


class Rules:
    """What a reader of the source knows and the machine code does not say: which functions handle nothing secret, which loads and results
    are public, and which arguments point to what is public as a whole."""

    def __init__(self, args):
        self.functions, self.results = args.public, args.public_result
        self.loads = [tuple(r.split(":", 1)) for r in args.public_load]
        self.arguments = [tuple(r.rsplit("=", 1)) for r in args.public_argument]

    def public(self, function):
        return any(re.fullmatch(f, plain(function)) for f in self.functions)

    def public_result(self, function):
        return self.public(function) or any(re.fullmatch(f, plain(function)) for f in self.results)

    def public_load(self, function, instruction):
        return any(re.fullmatch(f, plain(function)) and re.search(t, f"{instruction.name} {instruction.text}") for f, t in self.loads)

    def public_arguments(self, function):
        return {register for f, register in self.arguments if re.fullmatch(f, plain(function))}


class Reader:
    def __init__(self, name, body, rules):
        self.name, self.body, self.rules = name, body, rules
        self.at = {i.address: n for n, i in enumerate(body)}
        self.found = {}
        # rbp is a frame pointer only where it is made one; elsewhere it is a register like any other.
        self.frame = any(i.name == "mov" and i.operands == ["rbp", "rsp"] or i.name == "lea" and i.operands and i.operands[0] == "rbp" and
                         "rsp" in i.text for i in body)

    def stack_base(self, memory):
        regs = address_registers(memory)
        return "rsp" in regs or (self.frame and "rbp" in regs)

    def load_secret(self, state, operand, memory, instruction):
        if "rip" in memory:
            return False
        slot = slot_of(memory)
        if slot is not None and self.stack_base(memory) and all((slot[0], slot[1] + i) in state.public for i in range(size_of(operand))):
            return False
        base = re.fullmatch(r"(\w+)([+-]0x[0-9a-f]+)?", memory)
        if base and canonical(base.group(1)) in state.pointers:
            return False
        return not self.rules.public_load(self.name, instruction)

    def move(self, state, i):
        """Follows the address of something public through copies, and through the stack."""
        if i.name != "mov" or len(i.operands) != 2:
            return
        places = []
        for operand in i.operands:
            memory = memory_of(operand)
            slot = slot_of(memory) if memory is not None and self.stack_base(memory) else None
            places.append(slot if memory is not None else GP.get(operand) and canonical(operand))
        if places[0] is not None:
            (state.pointers.add if places[1] in state.pointers else state.pointers.discard)(places[0])

    def store(self, state, operand, memory, secret):
        slot = slot_of(memory)
        if slot is None or not self.stack_base(memory):
            return
        octets = {(slot[0], slot[1] + i) for i in range(size_of(operand))}
        if secret:
            state.public -= octets
        else:
            state.public |= octets

    def report(self, instruction, why):
        self.found[instruction.address] = f"{self.name}: {instruction}: {why}"

    def step(self, state, i):
        """Changes `state` by one instruction, and reports what it must not do."""
        sources, destination = list(i.operands), None
        for operand in i.operands:
            memory = memory_of(operand)
            if memory is not None and i.name != "lea" and not i.name.startswith("nop"):
                if address_registers(memory) & state.names:
                    self.report(i, "an address depends on a secret")
        if re.match(r"vp?gather|vp?scatter", i.name):
            self.report(i, "a vector of addresses")
        if CONDITIONAL.fullmatch(i.name):
            if "flags" in state.names:
                self.report(i, "a jump depends on a secret")
            return
        if i.name in ("jmp", "call") and i.target is None:
            if any(canonical(r) in state.names for r in REGISTER.findall(i.text)):
                self.report(i, "a jump's target depends on a secret")
        if i.name == "call":
            state.names -= CALLER_SAVED | {"flags"}
            state.pointers -= CALLER_SAVED
            if not self.rules.public_result(i.callee):
                state.names.add("rax")
            return
        if i.name in ("ret", "jmp", "endbr64") or i.name.startswith("nop"):
            return
        if i.name in ("push", "pop") or (i.name in ("sub", "add", "and") and i.operands[0] == "rsp"):  # what rsp counts from moves
            state.public = {(base, at) for base, at in state.public if base != "rsp"}
            state.pointers = {p for p in state.pointers if not isinstance(p, tuple)}
            if i.name == "pop":
                state.names.discard(canonical(i.operands[0]))
                state.pointers.discard(canonical(i.operands[0]))
            return
        if not FLAGS_ONLY.fullmatch(i.name) and i.operands:
            destination = i.operands[0]
        secret = False
        zero = (i.name in ("xor", "sub", "pxor", "kxorw", "kxorb", "kxnorb", "kxnorw") and len(i.operands) == 2 and i.operands[0] == i.operands[1]) or (
            re.match(r"vp?xor|k(xor|xnor)", i.name) and len(i.operands) == 3 and i.operands[1] == i.operands[2])
        writes_only = re.match(r"v?mov(?!lps|hps)|lea|set|kmov|v(?!pmadd52|pternlog|fn?m(add|sub)|perm[it]2)|mulx|rorx|s[ah][rl]x|bswap$", i.name)
        for n, operand in enumerate(sources):
            if zero:
                break
            memory = memory_of(operand)
            masked = re.search(r"\{k[1-7]\}", operand)
            if n == 0 and destination is not None and writes_only and not (masked and "{z}" not in operand):
                if masked and any(canonical(r) in state.names for r in re.findall(r"\{(k[1-7])\}", operand)):
                    secret = True
                if i.name == "bswap":
                    secret |= canonical(operand) in state.names
                continue
            if memory is not None:
                if i.name == "lea":
                    secret |= bool(address_registers(memory) & state.names)
                else:
                    secret |= self.load_secret(state, operand, memory, i)
            else:
                secret |= any(canonical(r) in state.names for r in REGISTER.findall(operand))
        if re.match(r"cmov|set|adc|sbb|adcx|adox|rc[lr]", i.name):
            secret |= "flags" in state.names
        if DIVISION.fullmatch(i.name) and (secret or {"rax", "rdx"} & state.names):
            self.report(i, "a division of a secret")
        implicit = set()
        if i.name in ("mul", "imul") and len(i.operands) == 1:
            secret |= "rax" in state.names
            implicit, destination = {"rax", "rdx"}, None
        elif i.name == "mulx":
            secret |= "rdx" in state.names
            implicit = {canonical(i.operands[1])}
        elif DIVISION.fullmatch(i.name):
            implicit, destination = {"rax", "rdx"}, None
        elif i.name in ("cdq", "cqo"):
            secret, implicit = "rax" in state.names, {"rdx"}
        elif i.name in ("cdqe", "cwde"):
            return
        elif i.name == "xchg":
            implicit = {canonical(r) for o in i.operands if memory_of(o) is None for r in REGISTER.findall(o)}
        if not KEEPS_FLAGS.fullmatch(i.name):
            (state.names.add if secret else state.names.discard)("flags")
        written = set(implicit)
        if destination is not None:
            memory = memory_of(destination)
            if memory is not None:
                self.store(state, destination, memory, secret)
            else:
                written.add(canonical(REGISTER.findall(destination)[0]) if REGISTER.findall(destination) else "")
        if i.name != "mov":
            state.pointers -= written
        self.move(state, i)
        for name in written:
            (state.names.add if secret else state.names.discard)(name)
        if i.name in ("vzeroall", "vzeroupper"):
            if i.name == "vzeroall":
                state.names -= {f"v{n}" for n in range(16)}

    def run(self):
        if not self.body:
            return
        entry = State([f"v{n}" for n in range(32)] + [f"k{n}" for n in range(8)], (), self.rules.public_arguments(self.name))
        states, work = {0: entry}, [0]
        while work:
            n = work.pop()
            state, i = states[n].copy(), self.body[n]
            self.step(state, i)
            following = []
            if i.name not in ("ret", "jmp", "ud2", "hlt"):
                following.append(n + 1)
            if i.target is not None and i.name != "call" and i.target in self.at:
                following.append(self.at[i.target])
            for f in following:
                if f >= len(self.body):
                    continue
                if f not in states:
                    states[f] = state.copy()
                    work.append(f)
                elif states[f].join(state):
                    work.append(f)


def closure(functions, roots, rules):
    """Every function that a root calls, directly or not, and jumps into (parts split off by the compiler)."""
    named = {plain(name): name for name in functions}
    chosen, work, missing = [], [named.get(r, r) for r in roots], []
    while work:
        name = work.pop()
        if name in chosen or rules.public(name):
            continue
        if name not in functions:
            missing.append(name)
            continue
        chosen.append(name)
        for i in functions[name]:
            inside = i.target is not None and any(b.address == i.target for b in functions[name])
            if i.callee is not None and not inside and (i.name == "call" or i.name.startswith("j")):
                work.append(i.callee)
            if i.taken in functions:  # a call through a pointer goes to a function whose address somebody took
                work.append(i.taken)
    return sorted(chosen), missing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("root", nargs="+")
    parser.add_argument("--public", nargs="*", default=[], help="functions that are not read (expressions)")
    parser.add_argument("--public-load", nargs="*", default=[], metavar="FUNCTION:TEXT",
                        help="loads of what is public: an expression for the function, and one for the instruction's text")
    parser.add_argument("--public-argument", nargs="*", default=[], metavar="FUNCTION=REGISTER",
                        help="arguments that point to something public as a whole")
    parser.add_argument("--public-result", nargs="*", default=[], metavar="FUNCTION", help="functions whose result is public; else it is not")
    parser.add_argument("--least", type=int, default=1)
    args = parser.parse_args()
    rules = Rules(args)
    functions = program_read(args.program)
    chosen, missing = closure(functions, args.root, rules)
    problems = [f"{m}: not in {args.program}" for m in missing]
    count = jumps = 0
    for name in chosen:
        reader = Reader(name, functions[name], rules)
        reader.run()
        count += len(functions[name])
        jumps += sum(1 for i in functions[name] if CONDITIONAL.fullmatch(i.name))
        problems += [reader.found[a] for a in sorted(reader.found)]
    print(f"objects: read {len(chosen)} functions, {count} instructions, {jumps} conditional jumps: {' '.join(chosen)}")
    if len(chosen) < args.least:
        problems.append(f"only {len(chosen)} functions were read, {args.least} are expected")
    for p in problems:
        print(p)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
