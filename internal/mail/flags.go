package mail

import (
	"slices"
	"strings"
	"unique"
)

// SystemFlags is a set of the flags of RFC 3501 §2.3.2 that live with a
// message. \Recent is not among them: it belongs to a session.
type SystemFlags uint8

const (
	Seen SystemFlags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
	AllSystemFlags = Seen | Answered | Flagged | Deleted | Draft
)

var systemFlagNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

// SystemFlag returns the system flag of a name in any case, or 0.
func SystemFlag(name string) SystemFlags {
	for i, n := range systemFlagNames {
		if strings.EqualFold(n, name) {
			return 1 << i
		}
	}
	return 0
}

// Flags is the set of flags and keywords of one message: an immutable value,
// comparable with ==, 16 octets. Two sets are equal when they hold the same
// system flags and the same keywords in the same spelling; the store sees to
// one spelling per keyword and mailbox.
type Flags struct {
	System   SystemFlags
	keywords unique.Handle[string] // sorted, joined by one space
}

var noKeywords = unique.Make("")

// NewFlags returns a set. keywords may be in any order and hold duplicates,
// also ones that differ in case only, of which the first stays.
func NewFlags(system SystemFlags, keywords ...string) Flags {
	return Flags{system, internKeywords(keywords)}
}

func internKeywords(keywords []string) unique.Handle[string] {
	switch len(keywords) {
	case 0:
		return noKeywords
	case 1:
		return unique.Make(keywords[0])
	}
	k := slices.Clone(keywords)
	slices.SortStableFunc(k, compareFold)
	k = slices.CompactFunc(k, strings.EqualFold)
	return unique.Make(strings.Join(k, " "))
}

// compareFold orders keywords without regard to case, as they are compared.
func compareFold(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

// Has reports whether all of the system flags in f are set.
func (f Flags) Has(s SystemFlags) bool { return f.System&s == s }

// KeywordText returns the keywords sorted and joined by single spaces.
func (f Flags) KeywordText() string {
	if f.keywords == (unique.Handle[string]{}) {
		return ""
	}
	return f.keywords.Value()
}

// Keywords returns the keywords in order.
func (f Flags) Keywords() []string {
	t := f.KeywordText()
	if t == "" {
		return nil
	}
	return strings.Split(t, " ")
}

// HasKeyword reports whether the keyword is set, in any case.
func (f Flags) HasKeyword(keyword string) bool {
	for rest := f.KeywordText(); rest != ""; {
		var k string
		k, rest, _ = strings.Cut(rest, " ")
		if strings.EqualFold(k, keyword) {
			return true
		}
	}
	return false
}

// Union returns the flags of both sets; where keywords differ in case only,
// those of f stay.
func (f Flags) Union(g Flags) Flags {
	if g.KeywordText() == "" {
		return Flags{f.System | g.System, f.normal()}
	}
	return NewFlags(f.System|g.System, append(f.Keywords(), g.Keywords()...)...)
}

// Minus returns f without the flags of g.
func (f Flags) Minus(g Flags) Flags {
	if f.KeywordText() == "" || g.KeywordText() == "" {
		return Flags{f.System &^ g.System, f.normal()}
	}
	k := slices.DeleteFunc(f.Keywords(), g.HasKeyword)
	return NewFlags(f.System&^g.System, k...)
}

// Equal reports whether both sets are the same.
func (f Flags) Equal(g Flags) bool { return f.System == g.System && f.normal() == g.normal() }

func (f Flags) normal() unique.Handle[string] {
	if f.keywords == (unique.Handle[string]{}) {
		return noKeywords
	}
	return f.keywords
}

// AppendText appends the flags in IMAP's form without parentheses, e.g.
// `\Seen $Forwarded` (RFC 3501 §9 flag).
func (f Flags) AppendText(dst []byte) []byte {
	start := len(dst)
	for i, n := range systemFlagNames {
		if f.System&(1<<i) != 0 {
			if len(dst) > start {
				dst = append(dst, ' ')
			}
			dst = append(dst, n...)
		}
	}
	if k := f.KeywordText(); k != "" {
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = append(dst, k...)
	}
	return dst
}

func (f Flags) String() string { return string(f.AppendText(nil)) }

// KeywordMax is the longest keyword in octets.
const KeywordMax = 64

// ValidKeyword reports whether a keyword is an atom of at most KeywordMax
// octets (RFC 3501 §9 flag-keyword).
func ValidKeyword(k string) bool {
	if k == "" || len(k) > KeywordMax {
		return false
	}
	for i := range len(k) {
		if c := k[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}
