package imapwire

import (
	"cmp"
	"slices"
	"sort"
	"strconv"
)

// NumMax is the largest number there is.
const NumMax = 1<<32 - 1

// Star stands for "*".
const Star = 0

// NumRange is one range of a sequence set. A set may have 300,000 of them: they
// are kept small.
type NumRange struct{ First, Last uint32 }

// NumSet is a sequence set (RFC 3501 §9) of sequence numbers or UIDs, in any
// order. It is never expanded. The first of a range is Star only if the last is.
type NumSet []NumRange

// Saved is "$", the result of the last SEARCH with SAVE (RFC 5182 §2.1): a range
// that no other set has.
var Saved = NumSet{{Star, NumMax}}

// IsSaved reports whether the set is "$".
func (s NumSet) IsSaved() bool { return len(s) == 1 && s[0] == Saved[0] }

// NumSet reads a sequence set or fails.
func (d *Decoder) NumSet() NumSet {
	if d.Take('$') {
		d.Needs("SEARCHRES")
		return Saved
	}
	return d.PlainNumSet()
}

// PlainNumSet reads a sequence set that cannot be "$".
func (d *Decoder) PlainNumSet() NumSet {
	s := make(NumSet, 0, min(1+d.commas(), separateMax))
	for d.err == nil {
		r := NumRange{First: d.seqNumber()}
		if r.Last = r.First; d.Take(':') {
			r.Last = d.seqNumber()
		}
		if len(s) == cap(s) {
			s = merge(s)
		}
		if s = append(s, r.ordered()); !d.Take(',') {
			break
		}
	}
	if !s.resolved() {
		s = merge(s) // in place, which Resolve does not
	}
	return s
}

// separateMax is how many ranges that do not touch have room in a command
// (CommandMax). It has room for a million times the same number.
const separateMax = 320_000

// commas returns how many there are in the set that comes next.
func (d *Decoder) commas() (n int) {
	for _, c := range d.line[d.pos:] {
		switch {
		case c == ',':
			n++
		case c != ':' && c != '*' && (c < '0' || c > '9'):
			return n
		}
	}
	return n
}

// ordered puts the smaller number first (RFC 3501 §9 seq-range). What "*" is, is
// not known.
func (r NumRange) ordered() NumRange {
	if r.First == Star || r.Last != Star && r.First > r.Last {
		r.First, r.Last = r.Last, r.First
	}
	return r
}

// merge sorts ranges and merges them in place. Those with "*" come last, and only
// equal ones are merged: "5:*" and "7:*" are 3:5 and 3:7 in a mailbox of three.
func merge(ranges []NumRange) []NumRange {
	slices.SortFunc(ranges, func(a, b NumRange) int {
		switch {
		case (a.Last == Star) == (b.Last == Star):
			return cmp.Compare(a.First, b.First)
		case a.Last == Star:
			return 1
		}
		return -1
	})
	merged := ranges[:0]
	for _, r := range ranges {
		if n := len(merged); n > 0 && (r == merged[n-1] || r.Last != Star && int64(r.First) <= int64(merged[n-1].Last)+1) {
			merged[n-1].Last = max(merged[n-1].Last, r.Last)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// seqNumber reads a number of a set. It is no word of the command to be
// counted: clients name 100,000 UIDs in one set, and the length of the line
// bounds how many there are.
func (d *Decoder) seqNumber() uint32 {
	if d.Take('*') {
		return Star
	}
	large := uint64(0)
	for c := d.Peek(); c >= '0' && c <= '9'; c = d.Peek() {
		if large = large*10 + uint64(c-'0'); large > NumMax {
			d.Fail("the number is too large")
			return 0
		}
		d.pos++
	}
	if large == 0 {
		d.Fail("expected a number above zero or *")
	}
	return uint32(large)
}

// Resolve returns the ranges with "*" replaced by largest, in ascending order,
// merged. With largest 0, "*" is nothing. The ranges may be those of the set: they
// are not to be changed.
func (s NumSet) Resolve(largest uint32) []NumRange {
	if s.resolved() {
		return s
	}
	out := make([]NumRange, 0, len(s))
	for _, r := range s {
		if r.First == Star {
			r.First = largest
		}
		if r.Last == Star {
			r.Last = largest
		}
		if r.First > r.Last {
			r.First, r.Last = r.Last, r.First // RFC 3501 §9 seq-range
		}
		if r.Last > 0 {
			out = append(out, NumRange{max(r.First, 1), r.Last})
		}
	}
	return merge(out)
}

// resolved reports whether the ranges are what Resolve would make of them.
func (s NumSet) resolved() bool {
	before := int64(-1)
	for _, r := range s {
		if r.First == Star || r.Last < r.First || int64(r.First) <= before+1 {
			return false
		}
		before = int64(r.Last)
	}
	return true
}

// AppendNumSet appends ascending numbers as a sequence set.
func AppendNumSet(dst []byte, numbers []uint32) []byte {
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(numbers[i]), 10)
		if j > i {
			dst = strconv.AppendUint(append(dst, ':'), uint64(numbers[j]), 10)
		}
		i = j + 1
	}
	return dst
}

// Contains reports whether n is in resolved ranges.
func Contains(ranges []NumRange, n uint32) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].Last >= n })
	return i < len(ranges) && ranges[i].First <= n
}
