package applepush

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/store"
)

const (
	sendTime   = 30 * time.Second // of one push
	keepTime   = 24 * time.Hour   // how long Apple keeps one for a device that is off
	answerMax  = 4 << 10          // octets of an answer that are read
	pingAfter  = time.Minute      // of silence, to see whether Apple is still there
	pingAnswer = 15 * time.Second
	idleTime   = time.Hour // after which a connection is closed: Apple wants them to stay
)

// payload is the body of a push.
type payload struct {
	APS struct {
		AccountID string   `json:"account-id"`
		Mailboxes []string `json:"m,omitempty"`
	} `json:"aps"`
}

// body returns what a device is told: that there is something new in mailboxes
// of an account. Version 1 knows of INBOX only, and does not name it.
func body(p *store.Push, mailboxes []string) []byte {
	var all payload
	all.APS.AccountID = p.AccountID
	if p.Version > 1 {
		for _, name := range mailboxes {
			sum := md5.Sum([]byte(name))
			all.APS.Mailboxes = append(all.APS.Mailboxes, strings.ToUpper(hex.EncodeToString(sum[:])))
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic("strings cannot be written: " + err.Error())
	}
	return b
}

// newClient returns what speaks HTTP/2 with Apple as an identity. Redirections
// are not followed: nothing but the endpoint is spoken to.
func newClient(id *Identity, o *Options) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	return &http.Client{
		Timeout:       sendTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			Protocols:       &protocols,
			TLSClientConfig: &tls.Config{Certificates: id.cert, RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			IdleConnTimeout: idleTime,
			HTTP2:           &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAnswer},
		},
	}
}

// answer is what Apple says of a push.
type answer struct {
	status int
	Reason string `json:"reason"`
	// Timestamp is since when a token is no longer good: milliseconds since 1970,
	// 0 for not told.
	Timestamp int64 `json:"timestamp"`
}

// post sends a push. No apns-priority is sent, as other servers for Mail do not:
// 5, which Apple's documentation has for pushes in the background, lets devices
// put them off.
func post(ctx context.Context, client *http.Client, endpoint string, id *Identity, device string, body []byte, now time.Time) (a answer, err error) {
	authorization, err := id.authorization(now)
	if err != nil {
		return a, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/3/device/"+hex.EncodeToString([]byte(device)), bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	if authorization != "" {
		r.Header.Set("authorization", authorization)
	}
	r.Header.Set("apns-topic", id.Topic)
	r.Header.Set("apns-push-type", "background")
	r.Header.Set("apns-expiration", strconv.FormatInt(now.Add(keepTime).Unix(), 10))
	r.Header.Set("content-type", "application/json")
	response, err := client.Do(r)
	if err != nil {
		var with *url.Error
		if errors.As(err, &with) {
			err = with.Err // without the URL: the token in it is not for the log
		}
		return a, err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	if err != nil {
		return a, err
	}
	a.status = response.StatusCode
	if a.status != http.StatusOK && json.Unmarshal(b, &a) != nil {
		a.Reason, a.Timestamp = "", 0 // the status says enough
	}
	return a, nil
}

// verdict is what comes of a push.
type verdict int

const (
	sent    verdict = iota
	gone            // the device takes none any more
	later           // too many for this device
	nobody          // Apple takes none now, from us or at all
	refused         // Apple never takes this one
	void            // nobody is to be told any more
)

// verdict judges an answer (Apple's "Handling notification responses from APNs").
func (a *answer) verdict() verdict {
	switch {
	case a.status == http.StatusOK:
		return sent
	case a.status == http.StatusGone, a.Reason == "BadDeviceToken", a.Reason == "DeviceTokenNotForTopic":
		return gone
	case a.status == http.StatusTooManyRequests:
		return later
	case a.status == http.StatusForbidden, a.status >= 500:
		return nobody
	}
	return refused
}

// since returns until when a registration may have been renewed to go with a
// token that is no longer good.
func (a *answer) since(p *store.Push) time.Time {
	if a.status == http.StatusGone && a.Timestamp > 0 {
		return time.UnixMilli(a.Timestamp)
	}
	return p.Renewed
}
