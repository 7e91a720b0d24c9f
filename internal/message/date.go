package message

import (
	"bytes"
	"time"
)

var months = map[string]time.Month{
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
	"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}

// zones are the obsolete zone names (RFC 5322 §4.3), in minutes east of UTC.
var zones = map[string]int{
	"ut": 0, "gmt": 0, "utc": 0, "z": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300,
	"mst": -420, "mdt": -360, "pst": -480, "pdt": -420,
}

// ParseDate reads a date-time (RFC 5322 §3.3 and §4.3). ok is false when there
// is no day, month and year in it.
func ParseDate(s string) (t time.Time, ok bool) {
	l := lexer{s: []byte(s)}
	word := dateWord(&l)
	if bytes.ContainsFunc(word, func(r rune) bool { return r >= 'a' && r <= 'z' }) {
		l.space()
		l.take(',') // the day of the week
		word = dateWord(&l)
	}
	day, ok1 := number(word, 2)
	month, ok2 := months[string(dateWord(&l))]
	word = dateWord(&l)
	year, ok3 := number(word, 4)
	if !ok1 || !ok2 || !ok3 || day < 1 || day > 31 {
		return time.Time{}, false
	}
	switch {
	case len(word) == 2 && year < 50: // RFC 5322 §4.3
		year += 2000
	case len(word) <= 3:
		year += 1900
	}
	var clock [3]int
	for i := range clock {
		if i > 0 {
			if l.space(); !l.take(':') {
				break
			}
		}
		clock[i], _ = number(dateWord(&l), 2)
	}
	if clock[0] > 24 || clock[1] > 59 || clock[2] > 60 {
		clock = [3]int{}
	}
	zone := time.FixedZone("", dateZone(&l)*60)
	return time.Date(year, month, day, clock[0], clock[1], clock[2], 0, zone), true
}

// dateWord reads letters and digits, which it makes lower case where they are.
func dateWord(l *lexer) []byte {
	l.space()
	for l.peek() == '-' { // 1-Jan-2001 is seen
		l.i++
		l.space()
	}
	start := l.i
	for c := l.peek(); c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'; c = l.peek() {
		l.i++
	}
	word := l.s[start:l.i]
	for i, c := range word {
		word[i] = lower(c)
	}
	if len(word) > 3 && word[0] > '9' {
		word = word[:3] // a month's or day's full name
	}
	return word
}

func number(s []byte, digitsMax int) (n int, ok bool) {
	if len(s) == 0 || len(s) > digitsMax {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// dateZone reads a zone in minutes east of UTC; 0 for one that is unknown.
func dateZone(l *lexer) int {
	l.space()
	sign := l.peek()
	if sign != '+' && sign != '-' {
		return zones[string(dateWord(l))]
	}
	l.i++
	n, ok := number(dateWord(l), 4)
	if minutes := n/100*60 + n%100; ok && n%100 < 60 && minutes < 24*60 {
		if sign == '-' {
			return -minutes
		}
		return minutes
	}
	return 0
}
