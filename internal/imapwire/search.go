package imapwire

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/mail"
)

// SearchOp is what a search key tests.
type SearchOp uint8

const (
	SearchAll     SearchOp = iota
	SearchAnd              // Keys
	SearchOr               // Keys, two or more
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
	SearchModSeq      // ModSeq: changed then or later (RFC 7162 §3.1.5)
	SearchOlder       // Size in seconds before now (RFC 5032)
	SearchYounger     // likewise
	SearchSavedBefore // Day, of the save date (RFC 8514)
	SearchSavedOn     // likewise
	SearchSavedSince  // likewise
	SearchEmailID     // Text (RFC 8474 §6)
	SearchThreadID    // likewise
	SearchFilter      // Text: the name of a stored search (RFC 5466)
	SearchLabel       // Text: a label of X-GM-EXT-1; IDs, once the server found them
	SearchAttachment  // Text: part of an attached file's name
	SearchAnnotation  // Field: entry or pattern, Private, Shared, Text (RFC 5257 §4.8)
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

	ModSeq mail.ModSeq
	Fuzzy  bool     // matches as the server thinks best (RFC 6203 §3)
	IDs    []uint64 // of messages, ascending

	Private, Shared bool // values that are looked at
}

var searchFlags = map[string]mail.SystemFlags{
	"ANSWERED": mail.Answered, "DELETED": mail.Deleted, "DRAFT": mail.Draft, "FLAGGED": mail.Flagged, "SEEN": mail.Seen,
}

var searchDays = map[string]SearchOp{
	"BEFORE": SearchBefore, "ON": SearchOn, "SINCE": SearchSince,
	"SENTBEFORE": SearchSentBefore, "SENTON": SearchSentOn, "SENTSINCE": SearchSentSince,
	"SAVEDBEFORE": SearchSavedBefore, "SAVEDON": SearchSavedOn, "SAVEDSINCE": SearchSavedSince,
}

var searchIntervals = map[string]SearchOp{"OLDER": SearchOlder, "YOUNGER": SearchYounger}

// searchPlain holds the keys without arguments, but for flags.
var searchPlain = map[string]SearchOp{"ALL": SearchAll, "SAVEDATESUPPORTED": SearchAll, "RECENT": SearchRecent, "NEW": SearchNew, "OLD": SearchOld}

// searchTexts holds those whose only argument is a string.
var searchTexts = map[string]SearchOp{"BODY": SearchBody, "TEXT": SearchText, "EMAILID": SearchEmailID, "THREADID": SearchThreadID}

var searchSizes = map[string]SearchOp{"LARGER": SearchLarger, "SMALLER": SearchSmaller}

// searchCapabilities holds those of keys that came with an extension.
var searchCapabilities = map[string]string{
	"OLDER": "WITHIN", "YOUNGER": "WITHIN", "EMAILID": "OBJECTID", "THREADID": "OBJECTID", "MODSEQ": "CONDSTORE", "FILTER": "FILTERS", "FUZZY": "SEARCH=FUZZY",
	"SAVEDBEFORE": "SAVEDATE", "SAVEDON": "SAVEDATE", "SAVEDSINCE": "SAVEDATE", "SAVEDATESUPPORTED": "SAVEDATE", "ANNOTATION": "ANNOTATE-EXPERIMENT-1",
	"X-GM-MSGID": "X-GM-EXT-1", "X-GM-THRID": "X-GM-EXT-1", "X-GM-LABELS": "X-GM-EXT-1", "X-GM-RAW": "X-GM-EXT-1",
}

// UsesNumbers reports whether sequence numbers are among the keys.
func (k *SearchKey) UsesNumbers() bool {
	return k.Op == SearchSeq && !k.Set.IsSaved() || slices.ContainsFunc(k.Keys, (*SearchKey).UsesNumbers)
}

// UsesFuzzy reports whether there is a key that FUZZY stands before.
func (k *SearchKey) UsesFuzzy() bool {
	return k.Fuzzy || slices.ContainsFunc(k.Keys, (*SearchKey).UsesFuzzy)
}

// SetFuzzy makes a key and all in it match as the server thinks best.
func (k *SearchKey) SetFuzzy() {
	k.Fuzzy = true
	for _, sub := range k.Keys {
		sub.SetFuzzy()
	}
}

// UsesModSeq reports whether MODSEQ is among the keys.
func (k *SearchKey) UsesModSeq() bool {
	return k.Op == SearchModSeq || slices.ContainsFunc(k.Keys, (*SearchKey).UsesModSeq)
}

// UsesLabels reports whether labels are among the keys: what other mailboxes
// hold.
func (k *SearchKey) UsesLabels() bool {
	return k.Op == SearchLabel || slices.ContainsFunc(k.Keys, (*SearchKey).UsesLabels)
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

// ParseSearch reads keys in UTF-8 that are stored as a text (RFC 5466 §3.2).
func ParseSearch(text string) (key *SearchKey, ok bool) {
	d := &Decoder{line: []byte(text)}
	var charset string
	if d.PeekText("CHARSET ") {
		d.Word()
		d.Space()
		charset = d.AString()
		d.Space()
	}
	key = d.searchKeys()
	return key, d.End() == nil && (charset == "" || strings.EqualFold(charset, "UTF-8") || strings.EqualFold(charset, "US-ASCII"))
}

// searchKey reads one key. charset, where given, may be set instead, and nil
// returned.
func (d *Decoder) searchKey(depth int, charset *string) *SearchKey {
	if depth > DepthMax {
		d.Fail("the search is nested too deeply")
		return nil
	}
	if d.keys++; d.keys > SearchKeysMax {
		d.Fail("too many keys in one search")
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
	case c == '*' || c == '$' || c >= '0' && c <= '9':
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
	d.Needs(searchCapabilities[name])
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
	if op, ok := searchIntervals[name]; ok {
		d.Space()
		k := &SearchKey{Op: op, Size: int64(d.Number32())}
		if k.Size == 0 {
			d.Fail("expected a number of seconds above zero")
		}
		return k
	}
	if op, ok := searchPlain[name]; ok {
		return &SearchKey{Op: op}
	}
	if op, ok := searchTexts[name]; ok {
		d.Space()
		return &SearchKey{Op: op, Text: d.AString()}
	}
	if op, ok := searchSizes[name]; ok {
		d.Space()
		return &SearchKey{Op: op, Size: int64(d.Number32())}
	}
	switch name {
	case "X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS", "X-GM-RAW":
		d.Space()
		return d.gmailKey(name)
	case "ANNOTATION":
		d.Space()
		return d.annotationKey()
	case "FILTER":
		d.Space()
		return &SearchKey{Op: SearchFilter, Text: d.Atom()}
	case "MODSEQ":
		d.Space()
		return d.modSeqKey()
	case "BCC", "CC", "FROM", "SUBJECT", "TO":
		d.Space()
		return &SearchKey{Op: SearchHeader, Field: name, Text: d.AString()}
	case "HEADER":
		d.Space()
		field := d.AString()
		d.Space()
		return &SearchKey{Op: SearchHeader, Field: field, Text: d.AString()}
	case "KEYWORD", "UNKEYWORD":
		d.Space()
		k := &SearchKey{Op: SearchKeyword, Text: d.Atom()}
		if name == "UNKEYWORD" {
			return not(k)
		}
		return k
	case "UID":
		d.Space()
		return &SearchKey{Op: SearchUID, Set: d.NumSet()}
	case "UIDAFTER", "UIDBEFORE":
		d.Space()
		return d.uidSide(name == "UIDAFTER")
	case "FUZZY":
		d.Space()
		return d.fuzzyKey(depth)
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

// uidSide reads the argument of UIDAFTER and UIDBEFORE (RFC 9738 §3.2).
func (d *Decoder) uidSide(after bool) *SearchKey {
	uid := d.Number32()
	k := &SearchKey{Op: SearchUID}
	switch {
	case uid == 0:
		d.Fail("expected a UID")
	case after && uid < NumMax:
		k.Set = NumSet{{First: uid + 1, Last: NumMax}}
	case !after && uid > 1:
		k.Set = NumSet{{First: 1, Last: uid - 1}}
	}
	return k
}

// fuzzyKey reads the argument of FUZZY (RFC 6203 §3).
func (d *Decoder) fuzzyKey(depth int) *SearchKey {
	k := d.searchKey(depth+1, nil)
	if d.err == nil {
		k.SetFuzzy()
	}
	return k
}

// modSeqKey reads the arguments of MODSEQ. All flags of a message have one
// mod-sequence, so that the entry does not matter.
func (d *Decoder) modSeqKey() *SearchKey {
	if d.Peek() == '"' {
		_ = d.String()
		d.Space()
		switch d.Word() {
		case "PRIV", "SHARED", "ALL":
		default:
			d.Fail("expected priv, shared or all")
		}
		d.Space()
	}
	return &SearchKey{Op: SearchModSeq, ModSeq: d.ModSeq()}
}

// ModSeq reads a mod-sequence (RFC 7162 §7 mod-sequence-valzer).
func (d *Decoder) ModSeq() mail.ModSeq { return mail.ModSeq(d.Number()) }

// SearchReturn is what RETURN asks for (RFC 4731 §3.1, RFC 5182, RFC 9394, RFC
// 5267 §4). CONTEXT is a hint that changes nothing (RFC 5267 §4.2).
type SearchReturn struct {
	Given, Min, Max, All, Count, Save bool
	Relevancy                         bool // RFC 6203 §4
	Partial                           *Partial
	Update                            bool
	UpdateItems                       []FetchItem // of new messages (RFC 5465 §7)
}

// Partial is a range of results, counted from 1, or with FromEnd from the last
// one backwards (RFC 9394 §3.1).
type Partial struct {
	First, Last uint32 // First <= Last
	FromEnd     bool
}

// Text returns the range as the answer repeats it.
func (p *Partial) Text() string {
	sign := ""
	if p.FromEnd {
		sign = "-"
	}
	return sign + strconv.FormatUint(uint64(p.First), 10) + ":" + sign + strconv.FormatUint(uint64(p.Last), 10)
}

// Of returns which of n results the range is, as indexes from <= i < to.
func (p *Partial) Of(n int) (from, to int) {
	from, to = int(min(int64(p.First)-1, int64(n))), int(min(int64(p.Last), int64(n)))
	if p.FromEnd {
		return n - to, n - from
	}
	return from, to
}

// Partial reads a range like 1:500 or -1:-100.
func (d *Decoder) Partial() *Partial {
	p := &Partial{FromEnd: d.Take('-')}
	p.First = d.Number32()
	d.Expect(':')
	if p.FromEnd {
		d.Expect('-')
	}
	p.Last = d.Number32()
	if p.First == 0 || p.Last == 0 {
		d.Fail("expected a range like 1:500 or -1:-100")
	}
	if p.First > p.Last {
		p.First, p.Last = p.Last, p.First
	}
	return p
}

// contextOf gives the capabilities of RFC 5267 §4 by those they build on.
var contextOf = map[string]string{"ESEARCH": "CONTEXT=SEARCH", "ESORT": "CONTEXT=SORT"}

// SearchReturn reads RETURN, its options and the space behind them, if they
// are next. The capability is the one that they belong to.
func (d *Decoder) SearchReturn(capability string) (r SearchReturn) {
	if !d.TakeWord("RETURN") {
		return r
	}
	d.Needs(capability)
	r.Given = true
	d.Space()
	d.List(func() {
		switch option := d.Word(); option {
		case "MIN":
			r.Min = true
		case "MAX":
			r.Max = true
		case "ALL":
			r.All = true
		case "COUNT":
			r.Count = true
		case "RELEVANCY":
			d.Needs("SEARCH=FUZZY")
			r.Relevancy = true
		case "SAVE":
			d.Needs("SEARCHRES")
			r.Save = true
		case "CONTEXT":
			d.Needs(contextOf[capability])
		case "UPDATE":
			d.Needs(contextOf[capability])
			r.Update = true
			if d.Peek() == '(' || d.PeekText(" (") {
				d.Take(' ')
				r.UpdateItems = d.FetchItems()
			}
		case "PARTIAL":
			d.Needs("PARTIAL")
			d.Space()
			r.Partial = d.Partial()
		default:
			d.Fail("unknown result option " + option)
		}
	})
	if r.Partial != nil && r.All {
		d.Fail("PARTIAL and ALL exclude each other") // RFC 9394 §3.1
	}
	if !r.Min && !r.Max && !r.Count && !r.Save && r.Partial == nil {
		r.All = true // RFC 4731 §3.1
	}
	d.Space()
	return r
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
