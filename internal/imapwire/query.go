package imapwire

import (
	"strconv"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/mail"
)

// QueryWordsMax bounds the words of one query.
const QueryWordsMax = 200

// ParseQuery reads a search in the language of Gmail's search box (X-GM-RAW),
// as far as search keys can say what it means. Errors are syntax errors.
func ParseQuery(text string) (*SearchKey, error) {
	p := &queryParser{rest: text}
	if p.peek() == 0 {
		return &SearchKey{Op: SearchAll}, nil
	}
	key := p.all("", 0)
	if p.peek() != 0 {
		p.fail("a group is closed that was not opened")
	}
	return key, p.err
}

// queryParser reads what is left of a query. The first error sticks.
type queryParser struct {
	rest  string
	words int
	err   error
}

func (p *queryParser) fail(text string) *SearchKey {
	if p.err == nil {
		p.err = &SyntaxError{"X-GM-RAW: " + text}
	}
	return &SearchKey{Op: SearchAll}
}

// peek passes over spaces and returns the next octet, 0 at the end and after
// an error.
func (p *queryParser) peek() byte {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	if p.rest == "" || p.err != nil {
		return 0
	}
	return p.rest[0]
}

// takeWord takes one of the words AND and OR, which are such in capitals only.
func (p *queryParser) takeWord(word string) bool {
	p.peek()
	rest, ok := strings.CutPrefix(p.rest, word)
	if ok = ok && p.err == nil && (rest == "" || !isQueryWord(rest[0])); ok {
		p.rest = rest
	}
	return ok
}

func isQueryWord(c byte) bool { return strings.IndexByte(" \t\r\n(){}\"", c) < 0 }

// all reads what must all match, up to the end of the group. operator is the
// one before the group, or "".
func (p *queryParser) all(operator string, depth int) *SearchKey {
	if depth > DepthMax {
		return p.fail("the groups are nested too deeply")
	}
	all := &SearchKey{Op: SearchAnd}
	for c := p.peek(); c != 0 && c != ')' && c != '}'; c = p.peek() {
		if !p.takeWord("AND") {
			all.Keys = append(all.Keys, p.either(operator, depth))
		}
	}
	if len(all.Keys) == 0 {
		return p.fail("something is missing in a group")
	}
	return all
}

// either reads what stands around OR, which binds more strongly than what
// stands side by side.
func (p *queryParser) either(operator string, depth int) *SearchKey {
	either := &SearchKey{Op: SearchOr, Keys: []*SearchKey{p.unary(operator, depth)}}
	for p.takeWord("OR") {
		either.Keys = append(either.Keys, p.unary(operator, depth))
	}
	if len(either.Keys) == 1 {
		return either.Keys[0]
	}
	return either
}

// unary reads one thing, perhaps with "-" before it.
func (p *queryParser) unary(operator string, depth int) *SearchKey {
	negative := false
	for c := p.peek(); c == '-' || c == '+'; c = p.peek() {
		p.rest = p.rest[1:]
		negative = negative != (c == '-')
	}
	key := p.primary(operator, depth)
	if negative {
		return &SearchKey{Op: SearchNot, Keys: []*SearchKey{key}}
	}
	return key
}

func (p *queryParser) primary(operator string, depth int) *SearchKey {
	if p.words++; p.words > QueryWordsMax {
		return p.fail("there are more than " + strconv.Itoa(QueryWordsMax) + " words")
	}
	switch p.peek() {
	case 0, ')', '}':
		return p.fail("something is missing at the end")
	case '(':
		return p.group(')', p.all, operator, depth)
	case '{':
		return p.group('}', p.any, operator, depth)
	case '"':
		return p.term(operator, p.phrase())
	}
	end := 0
	for end < len(p.rest) && isQueryWord(p.rest[end]) {
		end++
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	if operator != "" {
		return p.term(operator, word)
	}
	name, value, _ := strings.Cut(word, ":")
	name = strings.ToLower(name)
	switch {
	case word == "OR":
		return p.fail("something is missing before OR")
	case len(name) == len(word) || queryOperators[name] == nil:
		return p.term("", word)
	case value != "":
		return p.term(name, value)
	}
	return p.primary(name, depth)
}

// any reads the things in braces, one of which must match.
func (p *queryParser) any(operator string, depth int) *SearchKey {
	either := p.all(operator, depth)
	if either.Op == SearchAnd {
		either.Op = SearchOr
	}
	return either
}

func (p *queryParser) group(end byte, read func(string, int) *SearchKey, operator string, depth int) *SearchKey {
	p.rest = p.rest[1:]
	key := read(operator, depth+1)
	if p.peek() != end {
		return p.fail("a group has no end")
	}
	p.rest = p.rest[1:]
	return key
}

// phrase reads words in quotes.
func (p *queryParser) phrase() string {
	phrase, rest, ok := strings.Cut(p.rest[1:], `"`)
	if !ok {
		p.fail("a quotation has no end")
	}
	p.rest = rest
	return phrase
}

// term returns what a word or phrase means behind an operator.
func (p *queryParser) term(operator, text string) *SearchKey {
	if operator == "" {
		return &SearchKey{Op: SearchText, Text: text}
	}
	key := queryOperators[operator](text)
	if key == nil {
		return p.fail(operator + ": is not understood with " + strconv.Quote(text))
	}
	return key
}

// queryOperators holds what stands before a colon. A function returns nil for
// what it does not understand.
var queryOperators = map[string]func(text string) *SearchKey{
	"from": queryHeader("FROM"), "to": queryHeader("TO"), "cc": queryHeader("CC"), "bcc": queryHeader("BCC"), "subject": queryHeader("SUBJECT"),
	"list": queryHeader("List-Id"), "deliveredto": queryHeader("Delivered-To"), "rfc822msgid": queryHeader("Message-ID"),
	"has": queryHas, "filename": queryFilename, "is": queryIs, "in": queryIn, "label": queryLabel,
	"larger": querySize(SearchLarger), "size": querySize(SearchLarger), "smaller": querySize(SearchSmaller),
	"before": queryDay(SearchBefore), "older": queryDay(SearchBefore), "after": queryDay(SearchSince), "newer": queryDay(SearchSince),
	"older_than": queryAge(SearchOlder), "newer_than": queryAge(SearchYounger),
	"category": func(string) *SearchKey { return nil }, // there are none
}

func queryHeader(field string) func(string) *SearchKey {
	return func(text string) *SearchKey { return &SearchKey{Op: SearchHeader, Field: field, Text: text} }
}

func queryHas(text string) *SearchKey {
	if !strings.EqualFold(text, "attachment") {
		return nil
	}
	return &SearchKey{Op: SearchAttachment}
}

func queryFilename(text string) *SearchKey { return &SearchKey{Op: SearchAttachment, Text: text} }

func queryIs(text string) *SearchKey {
	seen := &SearchKey{Op: SearchFlag, Flag: mail.Seen}
	switch strings.ToLower(text) {
	case "read":
		return seen
	case "unread":
		return &SearchKey{Op: SearchNot, Keys: []*SearchKey{seen}}
	case "starred", "important":
		return queryLabel(text)
	}
	return nil
}

// queryIn takes what in: knows beside labels.
func queryIn(text string) *SearchKey {
	if strings.EqualFold(text, "anywhere") {
		return &SearchKey{Op: SearchAll}
	}
	if key := queryIs(text); key != nil {
		return key
	}
	return queryLabel(text)
}

// queryLabels are the labels that have names of their own.
var queryLabels = map[string]string{
	"inbox": `\Inbox`, "sent": `\Sent`, "draft": `\Draft`, "drafts": `\Draft`, "spam": `\Spam`, "trash": `\Trash`, "starred": `\Starred`, "important": `\Important`,
}

func queryLabel(text string) *SearchKey {
	if name, ok := queryLabels[strings.ToLower(text)]; ok {
		text = name
	}
	return &SearchKey{Op: SearchLabel, Text: text}
}

// querySize reads a number of octets, perhaps with K or M behind it.
func querySize(op SearchOp) func(string) *SearchKey {
	return func(text string) *SearchKey {
		digits, unit := strings.ToUpper(text), int64(1)
		for suffix, octets := range map[string]int64{"K": 1 << 10, "M": 1 << 20} {
			for _, s := range []string{suffix, suffix + "B"} {
				if d, ok := strings.CutSuffix(digits, s); ok {
					digits, unit = d, octets
				}
			}
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			return nil
		}
		return &SearchKey{Op: op, Size: int64(n) * unit}
	}
}

// queryDay reads a day as 2026/11/24, 2026-11-24 or 11/24/2026.
func queryDay(op SearchOp) func(string) *SearchKey {
	return func(text string) *SearchKey {
		for _, layout := range []string{"2006/1/2", "2006-1-2", "1/2/2006"} {
			if day, err := time.Parse(layout, text); err == nil {
				return &SearchKey{Op: op, Day: day}
			}
		}
		return nil
	}
}

// queryAge reads a number of days, months of 30 days or years of 365, like 2d.
func queryAge(op SearchOp) func(string) *SearchKey {
	days := map[byte]int64{'d': 1, 'm': 30, 'y': 365}
	return func(text string) *SearchKey {
		if text == "" {
			return nil
		}
		n, err := strconv.ParseUint(text[:len(text)-1], 10, 16)
		unit := days[text[len(text)-1]|0x20]
		if err != nil || n == 0 || unit == 0 {
			return nil
		}
		return &SearchKey{Op: op, Size: int64(n) * unit * 24 * 60 * 60}
	}
}

// gmailKey reads what stands behind a search key of X-GM-EXT-1. Its numbers are
// those in the texts of EMAILID and THREADID.
func (d *Decoder) gmailKey(name string) *SearchKey {
	switch name {
	case "X-GM-MSGID":
		return &SearchKey{Op: SearchEmailID, Text: "M" + strconv.FormatInt(d.Number(), 10)}
	case "X-GM-THRID":
		return &SearchKey{Op: SearchThreadID, Text: "T" + strconv.FormatInt(d.Number(), 10)}
	case "X-GM-LABELS":
		if d.Peek() == '\\' {
			return &SearchKey{Op: SearchLabel, Text: d.Flag()}
		}
		return &SearchKey{Op: SearchLabel, Text: d.Mailbox()}
	}
	key, err := ParseQuery(d.AString())
	if err != nil {
		d.Abort(err)
	}
	return key
}
