#!/usr/bin/env python3
"""Static PowerShell 5.1 checker: tree-sitter-pwsh syntax + PSScriptAnalyzer 2016/2019 profile binding.
usage: pscheck.py [--list] [--server 2016|2019|both] [--define NAME ...] file.ps1 ...   exit 1 on E: lines

Data: see README.md beside this file. It does not check enum values or data flow."""

# ruff: noqa
# (dense on purpose: one walk over a grammar and a table)
import gzip, json, re, sys, os
import tree_sitter_pwsh
from tree_sitter import Language, Parser

HERE = os.path.dirname(os.path.abspath(__file__))
PARSER = Parser(Language(tree_sitter_pwsh.language()))
DATA = os.path.join(HERE, "..", "..", "deploy", "opdeploy", "lab", "data")
D = json.load(gzip.open(os.path.join(DATA, "ps51_commands.json.gz")))
T = json.load(gzip.open(os.path.join(HERE, "ps51_types.json.gz")))
CMD = {c.lower(): (c, e) for c, e in D["commands"].items()}
ALIAS = {a.lower(): t for a, t in D["aliases"].items()}
NATIVE = set(D["native"])
COMMON = {p.lower(): p for p in D["common"]}
COMMON_AL = {a.lower(): p for a, p in D["common_aliases"].items()}
TYPES = {t.lower(): (t, d) for t, d in T.items()}
ACCEL = {a.lower(): t for a, t in D["accelerators"].items()}
ACCEL.setdefault("ordered", "System.Collections.Specialized.OrderedDictionary")
RESERVED = set(
    "begin break catch class continue data define do dynamicparam else elseif end exit filter finally for foreach from function if in param process return switch throw trap try until using var while workflow enum".split()
)
# parameters that only a provider adds at run time (collector ran on a FileSystem drive)
DYNAMIC = {
    "set-itemproperty": {"type"},
    "get-childitem": {
        "codesigningcert",
        "documentencryptioncert",
        "sslserverauthentication",
        "dnsname",
        "eku",
        "expiringindays",
    },
    "new-item": {
        "delegate",
        "address",
        "transport",
        "hostname",
        "enabled",
        "port",
        "urlprefix",
        "certificatethumbprint",
        "listeningon",
        "connectionuri",
        "optionset",
        "authentication",
        "usessl",
        "sessionoption",
        "applicationname",
        "resource",
        "resourceuri",
        "sddl",
        "xmlrenderingtype",
        "plugin",
        "filename",
        "sdkversion",
        "capability",
        "subject",
        "issuer",
        "username",
        "password",
        "uri",
    },
    "remove-item": {"deletekey", "stream"},
    "get-item": {"stream"},
    "clear-content": {"stream"},
    "import-module": set(),
}
AUTO_VERB = {"foreach-object", "where-object"}


def text(n):
    return n.text.decode("utf8", "replace")


def walk(n):
    st = [n]
    while st:
        x = st.pop()
        yield x
        st.extend(reversed(x.children))


def anc(n, *types):
    n = n.parent
    while n is not None and n.type not in types:
        n = n.parent
    return n


class Checker:
    def __init__(self, path, src, server="both", defined=()):
        self.path, self.src, self.msgs, self.cmds = path, src, [], []
        self.mask = {"2016": 1, "2019": 2, "both": 3}[server]
        self.funcs = {d.lower(): None for d in defined}

    def m(self, n, sev, s):
        self.msgs.append((n.start_point.row + 1, n.start_point.column + 1, sev, s))

    def run(self):
        src = self.src
        if src[:3] == b"\xef\xbb\xbf":
            src = src[3:]
        if any(c > 127 for c in src) and self.src[:3] != b"\xef\xbb\xbf":
            self.msgs.append(
                (1, 1, "W", "non-ASCII bytes without BOM: powershell.exe 5.1 -File reads this as the ANSI code page")
            )
        # grammar bug: `break label }` on one line; same-length rewrite keeps offsets
        src = re.sub(rb"(\b(?:break|continue)[ \t]+[A-Za-z_]\w*)[ \t](?=[ \t]*\})", rb"\1;", src)
        self.simple = set()
        root = PARSER.parse(src).root_node
        nodes = list(walk(root))
        for n in nodes:
            if n.type == "function_statement":
                nm = next((text(c) for c in n.children if c.type == "function_name"), "")
                if ":" in nm:
                    nm = nm.split(":", 1)[1]
                ps = []
                for c in walk(n):
                    if c.type == "script_parameter" and anc(c, "function_statement", "script_block_expression") == n:
                        v = next((x for x in c.children if x.type == "variable"), None)
                        if v is not None:
                            ps.append(text(v)[1:].strip("{}").lower())
                        for a in walk(c):
                            if a.type == "attribute" and re.match(r"\[\s*Alias\s*\(", text(a), re.I):
                                ps += [x.lower() for x in re.findall(r"['\"](\w+)['\"]", text(a))]
                self.funcs[nm.lower()] = ps
                if not re.search(r"\[\s*(CmdletBinding|Parameter)\b", text(n), re.I):
                    self.simple.add(nm.lower())
        self.splats = {}
        for n in nodes:
            if n.type == "assignment_expression":
                t = text(n)
                mm = re.match(r"\$(?:\w+:)?(\w+)\s*=\s*(?:\[ordered\]\s*)?@\{", t, re.I)
                if mm:
                    h = next((c for c in walk(n) if c.type == "hash_literal_expression"), None)
                    keys = []
                    if h is not None:
                        for e in walk(h):
                            if e.type == "hash_entry" and anc(e, "hash_literal_expression") == h:
                                keys.append(text(e).split("=", 1)[0].strip().strip("'\"").lower())
                    self.splats.setdefault(mm[1].lower(), []).append((n.start_byte, keys))
            if n.type == "expandable_string_literal" or n.type == "expandable_here_string_literal":
                for c in n.children:
                    if c.type == "variable" and re.fullmatch(r"\$\w+", text(c)) and src[c.end_byte : c.end_byte + 1] == b":":
                        nxt = src[c.end_byte + 1 : c.end_byte + 2]
                        self.m(
                            c,
                            "E",
                            f'"{text(c)}:" in an expandable string is a scoped/drive variable reference: use ${{{text(c)[1:]}}}:'
                            if not nxt.isalnum()
                            else f'"{text(c)}:..." reads as scope/drive variable',
                        )
        for n in nodes:
            t = n.type
            if t == "ERROR":
                s = text(n).strip()
                if re.fullmatch(r"(break|continue)\s+[A-Za-z_]\w*", s):
                    continue  # grammar bug: label before }
                if re.fullmatch(r"\{\s*(break|continue|return)?\s*\}\s*default", s):
                    continue  # grammar bug in switch
                if re.search(r"\]\?\[|\}\?[.\[]", text(n)[:200]):
                    self.m(n, "E", "PS7 null-conditional")
                    continue
                self.m(n, "E", "syntax error near " + repr(s[:50]))
            elif n.is_missing:
                self.m(n, "E", f"missing {t!r}")
            elif t == "ternary_expression":
                self.m(n, "E", "PS7: ternary operator")
            elif t == "null_coalesce_expression":
                self.m(n, "E", "PS7: ?? operator")
            elif t == "assignment_operator" and text(n) == "??=":
                self.m(n, "E", "PS7: ??= operator")
            elif t == "pipeline_chain_tail":
                self.m(n, "E", f"PS7: pipeline chain operator {text(n)}")
            elif t == "block_name" and text(n).lower() == "clean":
                self.m(n, "E", "PS7.3: clean block")
            elif t == "try_statement" and not any(
                c.type in ("catch_clauses", "catch_clause", "finally_clause") for c in n.children
            ):
                self.m(n, "E", "try without catch/finally")
            elif t == "pipeline_chain":
                for c in n.children:
                    if (
                        c.type == "|"
                        and src[: c.start_byte].rsplit(b"\n", 1)[-1].strip() == b""
                        and src[: c.start_byte].rstrip()[-1:] != b"`"
                        and not re.search(rb"`\s*$", src[: c.start_byte].rstrip(b" \t").rstrip(b"\r\n")[-2:])
                    ):
                        self.m(c, "E", "PS7: line-initial pipe")
            elif t == "&" and n.parent.type in ("pipeline", "statement_list", "pipeline_chain"):
                self.m(n, "E", "PS6+: background &")
            elif t == "left_assignment_expression" and re.fullmatch(r"\d+|'[^']*'", text(n)):
                self.m(n, "E", "assignment to a literal")
            elif t == "hash_literal_expression":
                seen = set()
                for e in walk(n):
                    if e.type == "hash_entry" and anc(e, "hash_literal_expression") == n:
                        k = text(e).split("=", 1)[0].strip().strip("'\"").lower()
                        if k in seen and not k.startswith("$"):
                            self.m(e, "E", f"duplicate hash key {k}")
                        seen.add(k)
            elif t == "type_literal":
                self.typelit(n)
            elif t == "command":
                self.command(n)
        self.msgs.sort()
        return self.msgs

    def typelit(self, n):
        raw = text(n)
        body = raw.strip("[]").strip()
        base = re.split(r"[\[,\s`]", body)[0]
        low = base.lower()
        full = ACCEL.get(low) or (TYPES.get(low) or TYPES.get("system." + low) or (None,))[0]
        if full is None:
            if "[" in body or "`" in raw:
                return
            if low not in self.defined_types():
                self.m(n, "W", f"type [{base}] not loaded by default in 5.1 profile")
            return
        p = n.parent
        ps = text(p)
        mm = re.match(re.escape(raw) + r"\s*::\s*(\w+)", ps)
        if mm and p.type in ("member_access", "invokation_expression", "invocation_expression"):
            d = (TYPES.get(full.lower()) or (None, None))[1]
            if d and mm[1].lower() != "new":
                st = d.get("s", {})
                allm = {x.lower() for g in st.values() for x in g}
                if mm[1].lower() not in allm and not self.inherited_static(mm[1]):
                    self.m(n, "E", f"[{full}] has no static member {mm[1]}")

    def inherited_static(self, m):
        return m.lower() in (
            "equals",
            "referenceequals",
            "parse",
            "getnames",
            "getvalues",
            "toobject",
            "isdefined",
            "format",
            "tryparse",
            "getname",
        )

    def defined_types(self):
        if not hasattr(self, "_dt"):
            self._dt = {
                m.lower() for m in re.findall(r"\b(?:class|enum|struct|interface)\s+(\w+)", self.src.decode("utf8", "replace"))
            }
        return self._dt

    def command(self, n):
        name = next((c for c in n.children if c.type in ("command_name", "command_name_expr")), None)
        if name is None:
            return
        nm = text(name)
        op = next((text(c) for c in n.children if c.type == "command_invocation_operator"), None)
        els = next((c for c in n.children if c.type == "command_elements"), None)
        given, pos, splat, prev = [], 0, [], None
        if els is not None:
            kids = [c for c in els.children]
            i = 0
            while i < len(kids):
                c = kids[i]
                if c.type == "command_parameter":
                    given.append([text(c)[1:].rstrip(":"), c, False])
                    if text(c).endswith(":") or (
                        i + 1 < len(kids) and kids[i + 1].type == "command_argument_sep" and text(kids[i + 1]).strip() == ":"
                    ):
                        given[-1][2] = "colon"
                elif c.type in (
                    "command_argument_sep",
                    "comment",
                    "redirection",
                    "redirected_file",
                    "redirections",
                    "stop_parsing",
                    "line_continuation",
                ):
                    pass
                elif c.type in (",",):
                    pass
                elif text(c) == "<":
                    self.m(c, "E", "'<' redirection is reserved")
                else:
                    tx = text(c)
                    j = i - 1
                    while j >= 0 and kids[j].type == "command_argument_sep" and text(kids[j]).strip() in ("",):
                        j -= 1
                    comma = (j >= 0 and kids[j].type == ",") or (i > 0 and text(kids[i - 1]).strip() == ",")
                    if re.fullmatch(r"@\w+", tx):
                        splat.append((tx[1:].lower(), c))
                    elif comma:
                        pass
                    else:
                        given.append([None, c, False])
                i += 1
        self.cmds.append((n.start_point.row + 1, nm, [g[0] for g in given if g[0]], [s for s, _ in splat]))
        low = nm.strip("'\"").lower()
        if op and (nm.startswith(("$", "(", "{")) or name.type == "command_name_expr" and "$" in nm):
            return
        if op and (nm.startswith(("'", '"')) or "\\" in nm or "/" in nm):
            return
        if "$" in nm:
            return
        if low in ("else", "elseif", "catch", "finally"):  # grammar bug: $x = if (..) {..} NEWLINE else {..}
            st = n
            while st.parent is not None and st.parent.type not in ("statement_list", "program"):
                st = st.parent
            pv = st.prev_named_sibling
            while pv is not None and pv.type == "comment":
                pv = pv.prev_named_sibling
            if pv is not None and (
                re.match(r"\$[\w.:]+\s*\+?=\s*(if|try)\b", text(pv), re.I) or re.match(r"(else|elseif|catch)\b", text(pv), re.I)
            ):
                return
        if low in RESERVED and low not in ("foreach",):
            self.m(n, "E", f"reserved word {nm!r} used as a command (misplaced keyword?)")
            return
        if low in ("=", "==", "%", "?") and low not in ("%", "?"):
            self.m(n, "E", f"operator {nm!r} read as a command")
            return
        if re.match(r"[\d.]+(\.\.|$)", low):
            return
        if low in self.funcs:
            ps = self.funcs[low]
            if ps is not None:
                for g, c, _ in given:
                    if (
                        g
                        and not self.match(
                            g.lower(),
                            ps,
                            () if low in self.simple else list(COMMON) + list(COMMON_AL) + ["whatif", "confirm", "wi", "cf"],
                        )[0]
                    ):
                        self.m(c, "E", f"function {nm} has no parameter -{g}")
            return
        if re.search(r"[\\/]", low):
            return
        if low.split("\\")[-1] in NATIVE or low + ".exe" in NATIVE and low not in ALIAS and low not in CMD:
            return
        if low in ALIAS:
            self.m(n, "I", f"alias {nm} -> {ALIAS[low]}")
            low = ALIAS[low].lower()
        if low not in CMD:
            if low + ".exe" in NATIVE or low + ".cmd" in NATIVE:
                return
            self.m(n, "E", f"unknown command {nm}")
            return
        real, e = CMD[low]
        on = e.get("on", 3)
        if on & self.mask != self.mask:
            self.m(n, "E", f"{real} is only on {'2016' if on == 1 else '2019'}")
        self.bind(n, real, e, given, splat)

    def match(self, g, names, extra=()):
        names = [x.lower() for x in names]
        ex = [x.lower() for x in extra]
        if g in names or g in ex:
            return True, g
        c = [x for x in names + ex if x.startswith(g)]
        return (len(set(c)) == 1, c[0] if len(set(c)) == 1 else c)

    def bind(self, n, real, e, given, splat):
        params = {p.lower(): p for p in e["p"]}
        al = {a.lower(): p.lower() for a, p in e.get("a", {}).items()}
        bound, unknown_splat = {}, False

        def resolve(g, node):
            g = g.lower()
            if g in params:
                r = g
            elif g in al:
                r = al[g]
            elif g in COMMON or g in COMMON_AL:
                return None
            elif g in DYNAMIC.get(real.lower(), ()):
                return None
            else:
                cand = (
                    {p for p in params if p.startswith(g)}
                    | {al[a] for a in al if a.startswith(g)}
                    | {"~" + c for c in list(COMMON) if c.startswith(g)}
                )
                if len(cand) == 1:
                    r = next(iter(cand))
                    if r[0] == "~":
                        return None
                    self.m(node, "I", f"{real} -{g} abbreviates -{params[r]}")
                elif not cand:
                    self.m(node, "E", f"{real} has no parameter -{g}")
                    return None
                else:
                    self.m(node, "E", f"{real} -{g} is ambiguous: {sorted(cand)}")
                    return None
            x = e["p"][params[r]]
            if "on" in x and x["on"] & self.mask != self.mask:
                self.m(node, "E", f"{real} -{params[r]} exists only on {'2016' if x['on'] == 1 else '2019'}")
            if r in bound:
                self.m(node, "E", f"{real} -{params[r]} given twice")
            bound[r] = 1
            return r

        posargs, want = 0, None
        for g, node, colon in given:
            if g is not None:
                want = None
                r = resolve(g, node)
                gl = g.lower()
                isswitch = False
                if r is not None:
                    isswitch = "SwitchParameter" in (
                        D["types"][e["p"][params[r]]["t"]] if e["p"][params[r]].get("t") is not None else ""
                    )
                elif gl in ("verbose", "vb", "debug", "db"):
                    isswitch = True
                want = None if (isswitch and not colon) else True
            else:
                if want:
                    want = None
                else:
                    posargs += 1
        for s, node in splat:
            known = [k for b, k in self.splats.get(s, []) if b < node.start_byte]
            if known:
                for k in known[-1]:
                    if k and not k.startswith("$"):
                        resolve(k, node)
                later = re.search(
                    r"\$"
                    + re.escape(s)
                    + r"(\.\w+|\[[^\]]+\])\s*=|\$"
                    + re.escape(s)
                    + r"\.Add\(|\$"
                    + re.escape(s)
                    + r"\s*\+=",
                    self.src.decode("utf8", "replace"),
                    re.I,
                )
                if later:
                    unknown_splat = True
            else:
                unknown_splat = True
        # parameter-set resolution
        allsets = e.get("sets") or ["__All"]
        cand = set(allsets)
        for r in bound:
            s = e["p"][params[r]].get("s")
            if s:
                cand &= set(s)
        if not cand and bound:
            self.m(n, "E", f"{real}: no parameter set takes all of {sorted(params[b] for b in bound)}")
            return
        if unknown_splat:
            return
        allmand = {}
        for st in e.get("syn", []):
            for p, (mand, po) in st.items():
                allmand.setdefault(p.lower(), []).append((mand, po))
        nsyn = len(e.get("syn", []))
        piped = False
        pc = n.parent
        if pc is not None and pc.type == "pipeline_chain":
            sib = [c for c in pc.children if c.type == "command" or c.is_named]
            piped = bool(sib) and sib[0] != n
        best = None
        for s in cand:
            miss, posn = [], []
            for pl, p in params.items():
                x = e["p"][p]
                ss = x.get("s")
                if ss is not None:
                    if s not in ss:
                        continue
                    mand, po, fl = ss[s]
                else:
                    v = allmand.get(pl, [])
                    mand = int(bool(v) and len(v) == nsyn and all(m for m, _ in v))
                    po = next((q for _, q in v if q is not None), None)
                    fl = 3
                if pl in bound:
                    continue
                if po is not None:
                    posn.append((po, pl))
                if mand and not (piped and fl):
                    miss.append((pl, po))
            posn.sort()
            fill = {pl for _, pl in posn[:posargs]}
            over = max(0, posargs - len(posn))
            miss2 = [pl for pl, _ in miss if pl not in fill]
            k = (len(miss2) + over, miss2, over)
            if best is None or k[0] < best[0]:
                best = k
        if best and best[1]:
            self.m(n, "E", f"{real}: mandatory parameter(s) not given: {best[1]}")
        if (
            best
            and best[2]
            and real.lower()
            not in ("foreach-object", "where-object", "write-host", "write-output", "new-object", "invoke-command", "start-job")
        ):
            self.m(n, "W", f"{real}: {best[2]} positional argument(s) too many")


if __name__ == "__main__":
    import argparse

    ap = argparse.ArgumentParser()
    ap.add_argument("files", nargs="+")
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--server", default="both")
    ap.add_argument("--define", nargs="*", default=[])
    ap.add_argument("--min", default="E")
    a = ap.parse_args()
    rc = 0
    for f in a.files:
        c = Checker(f, open(f, "rb").read(), a.server, a.define)
        for r, col, sev, s in c.run():
            if "EWI".index(sev) <= "EWI".index(a.min):
                print(f"{f}:{r}:{col}: {sev}: {s}")
            rc |= sev == "E"
        if a.list:
            for x in c.cmds:
                print("   ", *x)
    sys.exit(rc)
