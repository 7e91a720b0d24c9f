package imapserver

import (
	"maps"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/sasl"
)

// Cut takes capabilities away from the sessions for which each of its
// conditions holds; a condition that names nothing holds always. What is cut is
// not advertised and does not work.
type Cut struct {
	// Capabilities by name. One without "=" also means all that have a "="
	// behind it: THREAD means THREAD=REFERENCES too.
	Capabilities []string
	Listeners    []string // as in Server.On, or what stands before "=" in it
	Users        []string // names of accounts; "*" stands for anything
	// Clients are names that clients give themselves with ID, or NAME/VERSION;
	// "*" stands for anything. RFC 2971 §3 forbids to treat clients by what they
	// say of themselves: this is for administrators who know better.
	Clients []string
}

// dependents are the capabilities that do not work without another one. For
// IMAP4rev2 they are what it includes (RFC 9051 appendix E).
var dependents = map[string][]string{
	"CONDSTORE":      {"QRESYNC"},                                                          // RFC 7162 §3.2
	"ENABLE":         {"QRESYNC", "UIDONLY", "UTF8=ACCEPT", "IMAP4rev2"},                   // RFC 5161 §3.1
	"ESEARCH":        {"SEARCHRES", "ESORT", "MULTISEARCH", "IMAP4rev2", "CONTEXT=SEARCH"}, // RFC 5182 §1, RFC 5267 §3 and §4.1, RFC 7377 §2
	"ESORT":          {"CONTEXT=SORT"},                                                     // RFC 5267 §4.1
	"CONTEXT=SEARCH": {"CONTEXT=SORT"},                                                     // which without CANCELUPDATE would not be whole
	"LIST-EXTENDED":  {"LIST-STATUS", "LIST-METADATA", "IMAP4rev2"},                        // RFC 5819 §1, RFC 9590 §1
	"METADATA":       {"LIST-METADATA", "FILTERS"},                                         // RFC 5466 §2
	"ACL":            {"LIST-MYRIGHTS"},                                                    // RFC 8440 §1
	"SORT":           {"SORT=DISPLAY", "ESORT"},                                            // RFC 5957 §3, RFC 5267 §3
	"SPECIAL-USE":    {"CREATE-SPECIAL-USE", "IMAP4rev2"},                                  // RFC 6154 §3
	"NAMESPACE":      {"IMAP4rev2"}, "UNSELECT": {"IMAP4rev2"}, "UIDPLUS": {"IMAP4rev2"}, "SEARCHRES": {"IMAP4rev2"},
	"IDLE": {"IMAP4rev2"}, "SASL-IR": {"IMAP4rev2"}, "LIST-STATUS": {"IMAP4rev2"}, "MOVE": {"IMAP4rev2"},
	"LITERAL+": {"IMAP4rev2"}, "LITERAL-": {"IMAP4rev2"}, "BINARY": {"IMAP4rev2"}, "STATUS=SIZE": {"IMAP4rev2"},
}

// Optional are the capabilities that are cut unless Options.Offer names them.
var Optional = []string{"XLIST", "X-GM-EXT-1"}

// Capabilities returns all that can be cut, by name: what the server can
// advertise but for IMAP4rev1 and LOGINDISABLED.
func Capabilities() []string {
	_, caps := index(commands)
	names := append(strings.Fields(caps), "APPENDLIMIT", "IMAP4rev2", "LITERAL+", "LITERAL-", "STARTTLS")
	for _, m := range sasl.Names() {
		names = append(names, "AUTH="+m)
	}
	slices.Sort(names)
	return names
}

// cutSet is the capabilities that a session does not have.
type cutSet map[string]bool

// add cuts a capability, those that it is the general name of, and what does
// not work without them.
func (c cutSet) add(name string) {
	for _, known := range Capabilities() {
		if !strings.EqualFold(known, name) && !hasPrefixFold(known, name+"=") || c[known] {
			continue
		}
		c[known] = true
		for _, dependent := range dependents[known] {
			c.add(dependent)
		}
	}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// names returns what a cut takes away in all.
func (c *Cut) names() cutSet {
	set := cutSet{}
	for _, name := range c.Capabilities {
		set.add(name)
	}
	return set
}

// cutRule is a Cut made ready.
type cutRule struct {
	Cut
	set cutSet
}

// cutRules makes the options' cuts ready, and one of what is not offered.
func cutRules(o *Options) (rules []cutRule) {
	off := Cut{Capabilities: slices.DeleteFunc(slices.Clone(Optional), func(name string) bool {
		return slices.ContainsFunc(o.Offer, func(offered string) bool { return strings.EqualFold(offered, name) })
	})}
	if o.ApplePush == nil {
		off.Capabilities = append(off.Capabilities, capApplePush)
	}
	for _, c := range append([]Cut{off}, o.Cuts...) {
		rules = append(rules, cutRule{c, c.names()})
	}
	return rules
}

// holds reports whether the conditions hold for a session as it is.
func (c *Cut) holds(s *session) bool {
	protocol, _, _ := strings.Cut(s.listener, "=")
	return (len(c.Listeners) == 0 || slices.Contains(c.Listeners, s.listener) || slices.Contains(c.Listeners, protocol)) &&
		(len(c.Users) == 0 || s.user.Name != "" && anyLike(c.Users, s.user.Name)) &&
		(len(c.Clients) == 0 || s.client.name != "" && anyLike(c.Clients, s.client.name, s.client.name+"/"+s.client.version))
}

func anyLike(patterns []string, texts ...string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return slices.ContainsFunc(texts, func(t string) bool { return like(p, t) })
	})
}

// like reports whether a text is as a pattern in which "*" stands for anything.
// Case does not matter.
func like(pattern, text string) bool {
	pattern, text = strings.ToLower(pattern), strings.ToLower(text)
	piece, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, piece)
	for ok {
		if piece, rest, wild = strings.Cut(rest, "*"); !wild {
			return strings.HasSuffix(text, piece)
		}
		_, text, ok = strings.Cut(text, piece)
	}
	return false
}

// recut looks again which capabilities the session does not have, since
// something of what decides it changed, and reports whether that changed them.
func (s *session) recut() (changed bool) {
	var cut cutSet
	for i := range s.opts.cuts {
		rule := &s.opts.cuts[i]
		switch {
		case !rule.holds(s):
		case cut == nil:
			cut = rule.set // shared; nobody changes it
		default:
			cut = maps.Clone(cut)
			maps.Copy(cut, rule.set)
		}
	}
	if s.opts.ApplePush != nil && s.pushTopic() == "" {
		if cut = maps.Clone(cut); cut == nil {
			cut = cutSet{}
		}
		cut[capApplePush] = true
	}
	changed = !maps.Equal(cut, s.cut)
	s.cut = cut
	s.dec.Without(cut)
	s.dec.SetNonSync(s.nonSync())
	return changed
}

// offers reports whether the session has a capability.
func (s *session) offers(capability string) bool { return !s.cut[capability] }
