package applepush

import (
	"crypto/tls"
	"encoding/asn1"
	"fmt"
	"os"
	"strings"
	"time"
)

// Identity is what Apple knows a sender by: a certificate for one topic, or a
// key that signs tokens for the topics of a team.
type Identity struct {
	Topic     string    // names the pushes to the devices
	NotBefore time.Time // of the certificate; zero for a key
	NotAfter  time.Time
	cert      []tls.Certificate // one, or none
	tokens    *tokens           // nil with a certificate
}

// uid is the attribute user id of a subject (RFC 4519 §2.39).
var uid = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// topics are how the topics begin whose pushes Mail takes.
var topics = []string{"com.apple.mail.", "com.apple.mobilemail.push."}

// LoadCertificate reads a certificate and its key, both PEM. Its topic is the
// user id in its subject. An expired one is read: Holds tells.
func LoadCertificate(certFile, keyFile string) (*Identity, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("the push certificate %s with the key %s cannot be used: %w; nothing was changed", certFile, keyFile, err)
	}
	id := &Identity{cert: []tls.Certificate{cert}, NotBefore: cert.Leaf.NotBefore, NotAfter: cert.Leaf.NotAfter}
	for _, name := range cert.Leaf.Subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(uid) {
			id.Topic = text
		}
	}
	if !isTopic(id.Topic) {
		return nil, fmt.Errorf("the push certificate %s cannot be used: the user id in its subject is %q, and %s; nothing was changed", certFile, id.Topic, onlyTopics())
	}
	return id, nil
}

// LoadKey reads a key that signs tokens, PKCS #8 in PEM, which Apple calls by an
// id and gave to a team.
func LoadKey(file, keyID, team, topic string) (*Identity, error) {
	b, err := os.ReadFile(file)
	if err == nil && !isTopic(topic) {
		return nil, fmt.Errorf("the push topic %q cannot be used: %s; nothing was changed", topic, onlyTopics())
	}
	var tokens *tokens
	if err == nil {
		tokens, err = newTokens(b, keyID, team)
	}
	if err != nil {
		return nil, fmt.Errorf("the push key %s cannot be used: %w; nothing was changed", file, err)
	}
	return &Identity{Topic: topic, tokens: tokens}, nil
}

func onlyTopics() string {
	return "Mail only takes pushes of topics that begin with " + strings.Join(topics, " or ")
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

// Holds reports whether the certificate is good at a time. A key always is, as
// far as can be told.
func (id *Identity) Holds(now time.Time) bool {
	return id.tokens != nil || !now.Before(id.NotBefore) && !now.After(id.NotAfter)
}

// authorization returns the header with which a push is authorized, "" where the
// certificate does it.
func (id *Identity) authorization(now time.Time) (string, error) {
	if id.tokens == nil {
		return "", nil
	}
	token, err := id.tokens.at(now)
	return "bearer " + token, err
}
