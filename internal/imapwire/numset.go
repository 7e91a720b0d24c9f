package imapwire

import (
	"cmp"
	"slices"
	"sort"
	"strconv"
)

// NumMax stands for "*": the largest number there is.
const NumMax = 1<<32 - 1

// NumRange is one range of a sequence set; "*" is NumMax with Star.
type NumRange struct {
	First, Last         uint32
	FirstStar, LastStar bool
	saved               bool
}

// NumSet is a sequence set as written (RFC 3501 §9), of sequence numbers or
// UIDs. It is never expanded.
type NumSet []NumRange

// Saved is "$", the result of the last SEARCH with SAVE (RFC 5182 §2.1).
var Saved = NumSet{{saved: true}}

// IsSaved reports whether the set is "$".
func (s NumSet) IsSaved() bool { return len(s) == 1 && s[0].saved }

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
	var s NumSet
	compact := compactRanges
	for d.err == nil {
		r := NumRange{}
		r.First, r.FirstStar = d.seqNumber()
		r.Last, r.LastStar = r.First, r.FirstStar
		if d.Take(':') {
			r.Last, r.LastStar = d.seqNumber()
		}
		if s = append(s, r); !d.Take(',') {
			return s
		}
		if len(s) >= compact {
			s = s.compact()
			compact = max(compactRanges, 2*len(s))
		}
	}
	return s
}

// compactRanges is from how many ranges on a set is compacted while it is read:
// a line has room for a million times the same number.
const compactRanges = 4096

// compact merges ranges in place, but leaves those with "*".
func (s NumSet) compact() NumSet {
	for i := range s {
		s[i].order()
	}
	return merge(s)
}

// order puts the smaller number first (RFC 3501 §9 seq-range). What "*" is, is
// not known.
func (r *NumRange) order() {
	if r.First > r.Last {
		r.First, r.Last, r.FirstStar, r.LastStar = r.Last, r.First, r.LastStar, r.FirstStar
	}
}

// merge sorts ranges and merges them in place. Those with "*" come last, and only
// equal ones are merged: "5:*" and "7:*" are 3:5 and 3:7 in a mailbox of three.
func merge(ranges []NumRange) []NumRange {
	slices.SortFunc(ranges, func(a, b NumRange) int {
		switch {
		case a.LastStar == b.LastStar:
			return cmp.Compare(a.First, b.First)
		case a.LastStar:
			return 1
		}
		return -1
	})
	merged := ranges[:0]
	for _, r := range ranges {
		if n := len(merged); n > 0 && (r == merged[n-1] || !r.LastStar && int64(r.First) <= int64(merged[n-1].Last)+1) {
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
func (d *Decoder) seqNumber() (n uint32, star bool) {
	if d.Take('*') {
		return NumMax, true
	}
	large := uint64(0)
	for c := d.Peek(); c >= '0' && c <= '9'; c = d.Peek() {
		if large = large*10 + uint64(c-'0'); large > NumMax {
			d.Fail("the number is too large")
			return 0, false
		}
		d.pos++
	}
	if large == 0 {
		d.Fail("expected a number above zero or *")
	}
	return uint32(large), false
}

// Resolve returns the ranges with "*" replaced by largest, in ascending order,
// merged. With largest 0, "*" is nothing.
func (s NumSet) Resolve(largest uint32) []NumRange {
	out := make([]NumRange, 0, len(s))
	for _, r := range s {
		if r.FirstStar {
			r.First = largest
		}
		if r.LastStar {
			r.Last = largest
		}
		if r.First > r.Last {
			r.First, r.Last = r.Last, r.First // RFC 3501 §9 seq-range
		}
		if r.Last > 0 {
			out = append(out, NumRange{First: max(r.First, 1), Last: r.Last})
		}
	}
	return merge(out)
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
