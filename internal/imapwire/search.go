package imapwire

import (
	"strings"
	"time"

	"github.com/angarium/angarium/internal/mail"
)

// SearchOp is what a search key tests.
type SearchOp uint8

const (
	SearchAll     SearchOp = iota
	SearchAnd              // Keys
	SearchOr               // Keys, two
	SearchNot              // Keys, one
	SearchSeq              // Set
	SearchUID              // Set
	SearchFlag             // Flag: a system flag is set
	SearchKeyword          // Text
	SearchRecent
	SearchNew
	SearchOld
	SearchHeader // Field, Text
	SearchBody   // Text
	SearchText   // Text
	SearchBefore // Day, of the internal date
	SearchOn
	SearchSince
	SearchSentBefore // Day, of the Date field
	SearchSentOn
	SearchSentSince
	SearchLarger // Size
	SearchSmaller
)

// SearchKey is one node of a search program (RFC 3501 §6.4.4).
type SearchKey struct {
	Op    SearchOp
	Keys  []*SearchKey
	Set   NumSet
	Flag  mail.SystemFlags
	Field string
	Text  string
	Day   time.Time // midnight UTC of the day
	Size  int64
}

var searchFlags = map[string]mail.SystemFlags{
	"ANSWERED": mail.Answered, "DELETED": mail.Deleted, "DRAFT": mail.Draft, "FLAGGED": mail.Flagged, "SEEN": mail.Seen,
}

var searchDays = map[string]SearchOp{
	"BEFORE": SearchBefore, "ON": SearchOn, "SINCE": SearchSince,
	"SENTBEFORE": SearchSentBefore, "SENTON": SearchSentOn, "SENTSINCE": SearchSentSince,
}

// SearchProgram reads the arguments of SEARCH: an optional CHARSET and keys.
func (d *Decoder) SearchProgram() (charset string, key *SearchKey) {
	first := d.searchKey(0, &charset)
	all := &SearchKey{Op: SearchAnd}
	if first != nil {
		all.Keys = append(all.Keys, first)
	}
	for d.err == nil && (first == nil || d.Take(' ')) {
		all.Keys = append(all.Keys, d.searchKey(0, nil))
		first = all
	}
	return charset, all
}

// searchKey reads one key. charset, where given, may be set instead, and nil
// returned.
func (d *Decoder) searchKey(depth int, charset *string) *SearchKey {
	if depth > DepthMax {
		d.Fail("the search is nested too deeply")
		return nil
	}
	if !d.token() {
		return nil
	}
	switch c := d.Peek(); {
	case c == '(':
		k := &SearchKey{Op: SearchAnd}
		d.List(func() { k.Keys = append(k.Keys, d.searchKey(depth+1, nil)) })
		if len(k.Keys) == 0 {
			d.Fail("an empty list of search keys")
		}
		return k
	case c == '*' || c >= '0' && c <= '9':
		return &SearchKey{Op: SearchSeq, Set: d.NumSet()}
	}
	name := d.Word()
	if charset != nil && name == "CHARSET" {
		d.Space()
		*charset = d.AString()
		d.Space()
		return nil
	}
	return d.namedKey(name, depth)
}

func (d *Decoder) namedKey(name string, depth int) *SearchKey {
	not := func(k *SearchKey) *SearchKey { return &SearchKey{Op: SearchNot, Keys: []*SearchKey{k}} }
	if f := searchFlags[name]; f != 0 {
		return &SearchKey{Op: SearchFlag, Flag: f}
	}
	if f := searchFlags[strings.TrimPrefix(name, "UN")]; f != 0 && name != "DRAFT" {
		return not(&SearchKey{Op: SearchFlag, Flag: f})
	}
	if op, ok := searchDays[name]; ok {
		d.Space()
		return &SearchKey{Op: op, Day: d.Day()}
	}
	switch name {
	case "ALL":
		return &SearchKey{Op: SearchAll}
	case "RECENT":
		return &SearchKey{Op: SearchRecent}
	case "NEW":
		return &SearchKey{Op: SearchNew}
	case "OLD":
		return &SearchKey{Op: SearchOld}
	case "BCC", "CC", "FROM", "SUBJECT", "TO":
		d.Space()
		return &SearchKey{Op: SearchHeader, Field: name, Text: d.AString()}
	case "HEADER":
		d.Space()
		field := d.AString()
		d.Space()
		return &SearchKey{Op: SearchHeader, Field: field, Text: d.AString()}
	case "BODY", "TEXT":
		d.Space()
		op := SearchBody
		if name == "TEXT" {
			op = SearchText
		}
		return &SearchKey{Op: op, Text: d.AString()}
	case "KEYWORD", "UNKEYWORD":
		d.Space()
		k := &SearchKey{Op: SearchKeyword, Text: d.Atom()}
		if name == "UNKEYWORD" {
			return not(k)
		}
		return k
	case "LARGER", "SMALLER":
		d.Space()
		op := SearchLarger
		if name == "SMALLER" {
			op = SearchSmaller
		}
		return &SearchKey{Op: op, Size: int64(d.Number32())}
	case "UID":
		d.Space()
		return &SearchKey{Op: SearchUID, Set: d.NumSet()}
	case "NOT":
		d.Space()
		return not(d.searchKey(depth+1, nil))
	case "OR":
		d.Space()
		a := d.searchKey(depth+1, nil)
		d.Space()
		return &SearchKey{Op: SearchOr, Keys: []*SearchKey{a, d.searchKey(depth+1, nil)}}
	}
	d.Fail("unknown search key " + name)
	return nil
}

// Day reads a date like 1-Feb-1994, perhaps in quotes.
func (d *Decoder) Day() time.Time {
	quoted := d.Take('"')
	s := d.while(func(c byte) bool { return isAtom(c) && c != '"' })
	if quoted {
		d.Expect('"')
	}
	t, err := time.Parse("2-Jan-2006", s)
	if err != nil {
		d.Fail("expected a date like 1-Feb-1994")
	}
	return t
}

// DateTime reads a date-time in quotes (RFC 3501 §9).
func (d *Decoder) DateTime() time.Time {
	s := d.String()
	t, err := time.Parse("_2-Jan-2006 15:04:05 -0700", s)
	if err != nil {
		d.Fail(`expected a date and time like "17-Jul-1996 02:44:25 -0700"`)
	}
	return t
}
