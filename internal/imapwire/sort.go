package imapwire

// SortField is a sort criterion of RFC 5256 §3 or RFC 5957 §4.
type SortField uint8

const (
	SortArrival SortField = iota
	SortCc
	SortDate
	SortFrom
	SortSize
	SortSubject
	SortTo
	SortDisplayFrom
	SortDisplayTo
	SortRelevancy  // RFC 6203 §6
	SortAnnotation // Entry, Private (RFC 5257 §4.9)
)

// SortKey is one criterion, perhaps reversed.
type SortKey struct {
	Field   SortField
	Reverse bool
	Entry   string // whose value it is
	Private bool   // the private one, else the shared one
}

var sortFields = map[string]SortField{
	"ARRIVAL": SortArrival, "CC": SortCc, "DATE": SortDate, "FROM": SortFrom, "SIZE": SortSize,
	"SUBJECT": SortSubject, "TO": SortTo, "DISPLAYFROM": SortDisplayFrom, "DISPLAYTO": SortDisplayTo, "RELEVANCY": SortRelevancy, "ANNOTATION": SortAnnotation,
}

// sortKeysMax bounds the criteria of one SORT: but for annotations, there are no
// more than these that differ.
const sortKeysMax = 20

// SortKeys reads the criteria of SORT in parentheses or fails.
func (d *Decoder) SortKeys() (keys []SortKey) {
	d.List(func() {
		name, k := d.Word(), SortKey{}
		if name == "REVERSE" {
			d.Space()
			name, k.Reverse = d.Word(), true
		}
		field, ok := sortFields[name]
		if !ok {
			d.Fail("unknown sort criterion " + name)
		}
		switch field {
		case SortDisplayFrom, SortDisplayTo:
			d.Needs("SORT=DISPLAY")
		case SortRelevancy:
			d.Needs("SEARCH=FUZZY")
		}
		if field == SortAnnotation {
			d.Needs("ANNOTATE-EXPERIMENT-1")
			d.Space()
			k.Entry = d.entry(d.AString(), false).Name
			d.Space()
			k.Private = d.suffix()
		}
		if k.Field = field; len(keys) == sortKeysMax {
			d.Fail("too many sort criteria")
		}
		keys = append(keys, k)
	})
	if len(keys) == 0 {
		d.Fail("expected a sort criterion")
	}
	return keys
}

// CharsetAndKeys reads the charset and the search keys of SORT and THREAD,
// where the charset must stand (RFC 5256 §5).
func (d *Decoder) CharsetAndKeys() (charset string, key *SearchKey) {
	charset = d.AString()
	d.Space()
	return charset, d.searchKeys()
}

// searchKeys reads keys that all must match.
func (d *Decoder) searchKeys() *SearchKey {
	all := &SearchKey{Op: SearchAnd}
	for ok := true; ok && d.err == nil; ok = d.Take(' ') {
		all.Keys = append(all.Keys, d.searchKey(0, nil))
	}
	return all
}
