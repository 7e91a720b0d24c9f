package mail

import (
	"iter"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/angarium/angarium/internal/errs"
)

// UID is a message's unique identifier within one mailbox and UIDVALIDITY
// (RFC 3501 §2.3.1.1). 0 is none.
type UID uint32

// UIDMax is the largest UID. A mailbox whose UIDNEXT would pass it refuses
// further messages, it never wraps.
const UIDMax UID = math.MaxUint32

// ModSeq is a mod-sequence (RFC 7162 §3.1). An account has one counter: each
// commit takes the next value. 0 is none.
type ModSeq uint64

// UIDRange is the UIDs from First to Last, both included, First <= Last.
type UIDRange struct{ First, Last UID }

// UIDSet is a set of UIDs as ascending ranges that neither overlap nor touch.
// The zero value is the empty set. A set that was handed out is not changed.
type UIDSet []UIDRange

// NewUIDSet returns the set of uids, which may be in any order.
func NewUIDSet(uids ...UID) UIDSet {
	if !slices.IsSorted(uids) {
		uids = slices.Clone(uids)
		slices.Sort(uids)
	}
	var s UIDSet
	for _, u := range uids {
		s = s.Append(u)
	}
	return s
}

// UIDSetOf returns the set of ranges in any order, which may overlap.
func UIDSetOf(ranges ...UIDRange) UIDSet {
	r := slices.Clone(ranges)
	slices.SortFunc(r, func(a, b UIDRange) int {
		if a.First != b.First {
			return cmpUID(a.First, b.First)
		}
		return cmpUID(a.Last, b.Last)
	})
	s := UIDSet(r[:0]) // which never gets ahead of what is still to be added
	for _, x := range r {
		s = s.AppendRange(x)
	}
	return s
}

// ParseUIDSet reads a set as IMAP writes it, like 1,4:7,9:* (RFC 3501 §9). The
// star stands for the largest UID there can be. Errors: Invalid.
func ParseUIDSet(text string) (UIDSet, error) {
	var ranges []UIDRange
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		r := UIDRange{parseUID(first), parseUID(last)}
		if r.First == 0 || r.Last == 0 {
			return nil, errs.New("mail.ParseUIDSet", errs.Invalid, "a set of UIDs is written like 1,4:7,9:*")
		}
		ranges = append(ranges, UIDRange{min(r.First, r.Last), max(r.First, r.Last)})
	}
	return UIDSetOf(ranges...), nil
}

// parseUID returns 0 for what is no UID.
func parseUID(s string) UID {
	if s == "*" {
		return UIDMax
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return UID(n)
}

func cmpUID(a, b UID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Append returns the set with u added, which must not be below the last UID of
// the set. Like the built-in append it may reuse the set's memory.
func (s UIDSet) Append(u UID) UIDSet { return s.AppendRange(UIDRange{u, u}) }

// AppendRange is Append for a range, whose first UID must not be below the
// first of the last range.
func (s UIDSet) AppendRange(r UIDRange) UIDSet {
	if n := len(s); n > 0 {
		last := &s[n-1]
		if r.First <= last.Last || r.First == last.Last+1 {
			last.Last = max(last.Last, r.Last)
			return s
		}
	}
	return append(s, r)
}

// Contains reports whether u is in the set.
func (s UIDSet) Contains(u UID) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].Last >= u })
	return i < len(s) && s[i].First <= u
}

// Len returns the number of UIDs in the set.
func (s UIDSet) Len() int {
	n := 0
	for _, r := range s {
		n += int(r.Last-r.First) + 1
	}
	return n
}

// All yields the UIDs in ascending order. The set may stand for four thousand
// million of them: bound it by what exists first.
func (s UIDSet) All() iter.Seq[UID] {
	return func(yield func(UID) bool) {
		for _, r := range s {
			for u := r.First; ; u++ {
				if !yield(u) {
					return
				}
				if u == r.Last {
					break
				}
			}
		}
	}
}

// Slice returns the members with from <= index < to in ascending order.
func (s UIDSet) Slice(from, to int) (part UIDSet) {
	at := 0
	for _, r := range s {
		n := int(r.Last-r.First) + 1
		if first, last := max(from, at), min(to, at+n); first < last {
			part = append(part, UIDRange{r.First + UID(first-at), r.First + UID(last-at-1)})
		}
		at += n
	}
	return part
}

// Minus returns the members of s that are not in t.
func (s UIDSet) Minus(t UIDSet) (rest UIDSet) {
	for _, r := range s {
		for len(t) > 0 && t[0].Last < r.First {
			t = t[1:]
		}
		for _, x := range t {
			if x.First > r.Last || r.First > r.Last {
				break
			}
			if x.First > r.First {
				rest = append(rest, UIDRange{r.First, x.First - 1})
			}
			if x.Last == UIDMax {
				r.First, r.Last = UIDMax, 0
				break
			}
			r.First = x.Last + 1
		}
		if r.First <= r.Last {
			rest = append(rest, r)
		}
	}
	return rest
}

// Intersect returns the members that are in both.
func (s UIDSet) Intersect(t UIDSet) (both UIDSet) {
	for i, j := 0, 0; i < len(s) && j < len(t); {
		if first, last := max(s[i].First, t[j].First), min(s[i].Last, t[j].Last); first <= last {
			both = append(both, UIDRange{first, last})
		}
		if s[i].Last < t[j].Last {
			i++
		} else {
			j++
		}
	}
	return both
}

// AppendText appends the set in IMAP's form, e.g. "2:4,7" (RFC 3501 §9
// sequence-set). The empty set appends nothing.
func (s UIDSet) AppendText(dst []byte) []byte {
	for i, r := range s {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(r.First), 10)
		if r.Last != r.First {
			dst = append(dst, ':')
			dst = strconv.AppendUint(dst, uint64(r.Last), 10)
		}
	}
	return dst
}

func (s UIDSet) String() string { return string(s.AppendText(nil)) }
