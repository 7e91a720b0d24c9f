package main

import (
	"fmt"
	"strconv"
	"strings"
)

// node is a value of a response: a list, a string, or an atom like NIL.
type node struct {
	list   []node
	isList bool
	text   string
	null   bool
}

func (n node) String() string {
	switch {
	case n.isList:
		parts := make([]string, len(n.list))
		for i, c := range n.list {
			parts[i] = c.String()
		}
		return "(" + strings.Join(parts, " ") + ")"
	case n.null:
		return "NIL"
	}
	return strconv.Quote(n.text)
}

// parse reads one value and returns what follows it.
func parse(s string) (node, string) {
	s = strings.TrimLeft(s, " ")
	switch {
	case s == "":
		return node{null: true}, ""
	case s[0] == '(':
		n := node{isList: true}
		for s = s[1:]; ; {
			s = strings.TrimLeft(s, " ")
			if s == "" {
				return n, ""
			}
			if s[0] == ')' {
				return n, s[1:]
			}
			var c node
			c, s = parse(s)
			n.list = append(n.list, c)
		}
	case s[0] == '"':
		var b strings.Builder
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && i+1 < len(s):
				i++
				b.WriteByte(s[i])
			case s[i] == '"':
				return node{text: b.String()}, s[i+1:]
			default:
				b.WriteByte(s[i])
			}
		}
		return node{text: b.String()}, ""
	case s[0] == '{':
		var n int
		fmt.Sscanf(s, "{%d}", &n)
		s = s[strings.IndexByte(s, '\n')+1:]
		return node{text: s[:n]}, s[n:]
	}
	end := strings.IndexAny(s, " ()")
	if end < 0 {
		end = len(s)
	}
	return node{text: s[:end], null: strings.EqualFold(s[:end], "NIL")}, s[end:]
}

// difference is one place where two servers differ.
type difference struct{ class, ours, theirs string }

var envelopeFields = []string{"Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID"}

func compareEnvelope(a, b node, where string, out *[]difference) {
	for i, f := range envelopeFields {
		x, y := a.at(i), b.at(i)
		if x.String() != y.String() {
			*out = append(*out, difference{where + " " + f, x.String(), y.String()})
		}
	}
}

func (n node) at(i int) node {
	if i < len(n.list) {
		return n.list[i]
	}
	return node{null: true}
}

func (n node) multipart() bool { return n.isList && len(n.list) > 0 && n.list[0].isList }

// same compares what is the same in any case.
func same(a, b node) bool { return strings.EqualFold(a.String(), b.String()) }

// sameParams compares parameters: names in any case, values exactly.
func sameParams(a, b node) bool {
	if len(a.list) != len(b.list) || a.isList != b.isList {
		return false
	}
	for i := range a.list {
		if i%2 == 0 && !same(a.list[i], b.list[i]) || i%2 == 1 && a.list[i].String() != b.list[i].String() {
			return false
		}
	}
	return true
}

func compareBody(a, b node, path string, out *[]difference) {
	add := func(class string, x, y node) {
		*out = append(*out, difference{class, path + " " + x.String(), y.String()})
	}
	switch {
	case a.multipart() != b.multipart():
		add("multipart or not", a, b)
		return
	case a.multipart():
		compareMultipart(a, b, path, out, add)
		return
	}
	if !same(a.at(0), b.at(0)) || !same(a.at(1), b.at(1)) {
		add("type", a, b)
		return
	}
	for i, f := range []string{"", "", "parameters", "id", "description", "encoding", "octets"} {
		x, y := a.at(i), b.at(i)
		if f == "parameters" && !sameParams(x, y) || f == "encoding" && !same(x, y) || f != "" && f != "parameters" && f != "encoding" && x.String() != y.String() {
			add(f, x, y)
		}
	}
	extension := 7
	switch {
	case strings.EqualFold(a.at(0).text, "text"):
		if a.at(7).String() != b.at(7).String() {
			add("lines", a.at(7), b.at(7))
		}
		extension = 8
	case strings.EqualFold(a.at(0).text, "message") && a.at(7).isList != b.at(7).isList:
		add("message looked into or not", a, b)
		return
	case strings.EqualFold(a.at(0).text, "message") && a.at(7).isList:
		compareEnvelope(a.at(7), b.at(7), "inner ENVELOPE", out)
		compareBody(a.at(8), b.at(8), path+".m", out)
		if a.at(9).String() != b.at(9).String() {
			add("lines", a.at(9), b.at(9))
		}
		extension = 10
	}
	compareExtension(a, b, extension, "md5", add)
}

func compareMultipart(a, b node, path string, out *[]difference, add func(string, node, node)) {
	parts := func(n node) (i int) {
		for i < len(n.list) && n.list[i].isList {
			i++
		}
		return i
	}
	n, m := parts(a), parts(b)
	if n != m {
		add("number of parts", a, b)
		return
	}
	for i := range n {
		compareBody(a.list[i], b.list[i], fmt.Sprintf("%s.%d", path, i+1), out)
	}
	if !same(a.at(n), b.at(n)) {
		add("subtype", a.at(n), b.at(n))
	}
	compareExtension(a, b, n+1, "parameters", add)
}

// compareExtension compares the extension data from i on.
func compareExtension(a, b node, i int, first string, add func(string, node, node)) {
	x, y := a.at(i), b.at(i)
	if first == "parameters" && !sameParams(x, y) || first != "parameters" && x.String() != y.String() {
		add(first, x, y)
	}
	x, y = a.at(i+1), b.at(i+1)
	if !same(x.at(0), y.at(0)) || !sameParams(x.at(1), y.at(1)) {
		add("disposition", x, y)
	}
	for j, f := range []string{"language", "location"} {
		x, y := a.at(i+2+j), b.at(i+2+j)
		if x.String() != y.String() {
			add(f, x, y)
		}
	}
}
