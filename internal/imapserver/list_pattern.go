package imapserver

import (
	"strings"

	"github.com/angarium/angarium/internal/mail"
)

// pattern matches mailbox names (RFC 3501 §6.3.8): "*" is anything, "%"
// anything within a level. It is an automaton whose states are bits, so that
// the time is bounded by name times pattern/64 whatever the wildcards.
type pattern struct {
	states int // positions in the pattern; the last one accepts
	octet  [256][]uint64
	star   []uint64 // positions at "*"
	wild   []uint64 // positions at "*" or "%"
}

func compilePattern(s string) *pattern {
	s = canonicalPattern(s)
	p := &pattern{states: len(s)}
	words := len(s)/64 + 1
	p.star, p.wild = make([]uint64, words), make([]uint64, words)
	for i := range len(s) {
		bit := uint64(1) << (i % 64)
		switch c := s[i]; c {
		case '*':
			p.star[i/64] |= bit
			p.wild[i/64] |= bit
		case '%':
			p.wild[i/64] |= bit
		default:
			if p.octet[c] == nil {
				p.octet[c] = make([]uint64, words)
			}
			p.octet[c][i/64] |= bit
		}
	}
	return p
}

// canonicalPattern joins neighbouring wildcards.
func canonicalPattern(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '*' && s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		wild := s[i]
		for i+1 < len(s) && (s[i+1] == '*' || s[i+1] == '%') {
			if i++; s[i] == '*' {
				wild = '*'
			}
		}
		b.WriteByte(wild)
	}
	return b.String()
}

// match reports whether the whole name matches. INBOX matches in any case
// (RFC 3501 §5.1).
func (p *pattern) match(name string) bool {
	inbox := name == mail.Inbox || strings.HasPrefix(name, mail.Inbox+string(mail.Separator))
	now, next := make([]uint64, len(p.wild)), make([]uint64, len(p.wild))
	now[0] = 1
	p.skipWild(now)
	for i := range len(name) {
		c := name[i]
		var folded []uint64
		if inbox && i < len(mail.Inbox) {
			folded = p.octet[c|0x20]
		}
		stay := p.star
		if c != mail.Separator {
			stay = p.wild
		}
		carry, alive := uint64(0), uint64(0)
		for w := range now {
			var hit uint64
			if p.octet[c] != nil {
				hit = p.octet[c][w]
			}
			if folded != nil {
				hit |= folded[w]
			}
			step := now[w] & hit
			next[w] = step<<1 | carry | now[w]&stay[w]
			carry = step >> 63
			alive |= next[w]
		}
		if alive == 0 {
			return false
		}
		p.skipWild(next)
		now, next = next, now
	}
	return now[p.states/64]>>(p.states%64)&1 == 1
}

// skipWild lets wildcards match nothing. No two of them are neighbours.
func (p *pattern) skipWild(states []uint64) {
	carry := uint64(0)
	for w := range states {
		skip := states[w] & p.wild[w]
		states[w] |= skip<<1 | carry
		carry = skip >> 63
	}
}
