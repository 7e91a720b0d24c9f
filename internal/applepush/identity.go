package applepush

import (
	"crypto/tls"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"
)

// Identity is what Apple knows a sender by: a certificate for one topic.
type Identity struct {
	// Topic names the pushes to the devices. It is the user id in the
	// certificate's subject.
	Topic     string
	NotBefore time.Time
	NotAfter  time.Time
	cert      tls.Certificate
}

// uid is the attribute user id of a subject (RFC 4519 §2.39).
var uid = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// topics are how the topics begin whose pushes Mail takes.
var topics = []string{"com.apple.mail.", "com.apple.mobilemail.push."}

// LoadIdentity reads a certificate and its key, both PEM. An expired one is
// read: Holds tells.
func LoadIdentity(certFile, keyFile string) (*Identity, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("the push certificate %s with the key %s cannot be used: %w; nothing was changed", certFile, keyFile, err)
	}
	id := &Identity{cert: cert, NotBefore: cert.Leaf.NotBefore, NotAfter: cert.Leaf.NotAfter}
	for _, name := range cert.Leaf.Subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(uid) {
			id.Topic = text
		}
	}
	if !isTopic(id.Topic) {
		return nil, fmt.Errorf("the push certificate %s cannot be used: the user id in its subject is %q, and Mail only takes pushes of topics that begin with %s; nothing was changed",
			certFile, id.Topic, strings.Join(topics, " or "))
	}
	return id, nil
}

// isTopic reports whether Mail takes pushes of a topic. It has to fit into a
// quoted string and a header.
func isTopic(topic string) bool {
	for _, c := range topic {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	for _, prefix := range topics {
		if strings.HasPrefix(topic, prefix) && len(topic) <= topicMax {
			return true
		}
	}
	return false
}

// topicMax is in octets; those of Apple have some 60.
const topicMax = 200

// Holds reports whether the certificate is good at a time.
func (id *Identity) Holds(now time.Time) bool {
	return !now.Before(id.NotBefore) && !now.After(id.NotAfter)
}
