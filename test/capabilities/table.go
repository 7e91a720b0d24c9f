package main

import "strings"

// row is what is known of a capability.
type row struct {
	name   string // ending in "=" where a value follows
	source string // the text that defines it
	// file implements it, below internal. test shows it: a transcript in
	// imapserver/testdata, or FILE:TestName below internal. Both are empty where
	// it is not here, and may be several names.
	file, test string
	why        string // why it is not here, where that was decided
	key        string // of the configuration, that turns it on
}

// advertisedBy reports whether the capability is among those advertised, whose
// values do not matter.
func (r *row) advertisedBy(caps map[string]bool) bool {
	name := strings.ToUpper(r.name)
	for c := range caps {
		c = strings.ToUpper(c)
		if c == name || c+"=" == name || strings.HasSuffix(name, "=") && strings.HasPrefix(c, name) {
			return true
		}
	}
	return false
}

// registered are the capabilities of IANA's registry for IMAP.
var registered = []row{
	{name: "ACL", source: "RFC 4314", file: "imapserver/setacl.go imapserver/deleteacl.go imapserver/getacl.go imapserver/listrights.go imapserver/myrights.go imapserver/tree.go imapserver/across.go store/acl.go store/share.go mail/rights.go", test: "acl.txt shared.txt sharedext.txt imapserver/rights_test.go:TestA27"},
	{name: "ANNOTATE-EXPERIMENT-1", source: "RFC 5257", file: "imapserver/annotate.go imapwire/annotate.go search/annotation.go store/annotation.go", test: "annotate.txt annotatemodseq.txt"},
	{name: "APPENDLIMIT=", source: "RFC 7889 §2", file: "imapserver/append.go imapserver/status.go", test: "uidonly.txt imapserver/session_test.go:TestLimits"},
	{name: "AUTH=", source: "RFC 3501 §6.2.2", file: "imapserver/authenticate.go sasl/sasl.go", test: "login.txt"},
	{name: "BINARY", source: "RFC 3516", file: "imapserver/fetch_binary.go imapserver/append.go", test: "binary.txt"},
	{name: "CATENATE", source: "RFC 4469", file: "imapserver/catenate.go", test: "catenate.txt appendext.txt"},
	{name: "CHILDREN", source: "RFC 3348", file: "imapserver/list.go", test: "listext.txt"},
	{name: "COMPRESS=DEFLATE", source: "RFC 4978", file: "imapserver/compress.go", test: "imapserver/compress_test.go:TestCompressIdle"},
	{name: "CONDSTORE", source: "RFC 7162 §3.1", file: "imapserver/enable.go imapserver/store.go imapserver/sync.go", test: "condstore.txt"},
	{name: "CONTEXT=SEARCH", source: "RFC 5267 §4", file: "imapserver/contexts.go imapserver/cancelupdate.go", test: "context.txt"},
	{name: "CONTEXT=SORT", source: "RFC 5267 §4", file: "imapserver/contexts.go imapserver/sort.go", test: "context.txt"},
	{name: "CONVERT", source: "RFC 5259", why: "a mail store converts no pictures"},
	{name: "CREATE-SPECIAL-USE", source: "RFC 6154 §3", file: "imapserver/create.go", test: "esearch.txt"},
	{name: "ENABLE", source: "RFC 5161", file: "imapserver/enable.go", test: "condstore.txt rev2.txt"},
	{name: "ESEARCH", source: "RFC 4731", file: "imapserver/esearch.go", test: "esearch.txt"},
	{name: "ESORT", source: "RFC 5267 §3", file: "imapserver/sort.go imapserver/esearch.go", test: "sort.txt"},
	{name: "FILTERS", source: "RFC 5466", file: "imapserver/filter.go", test: "i18n.txt"},
	{name: "I18NLEVEL=1", source: "RFC 5255 §4.4", why: "I18NLEVEL=2 is it and more"},
	{name: "I18NLEVEL=2", source: "RFC 5255 §4.5", file: "imapserver/language.go", test: "i18n.txt"},
	{name: "ID", source: "RFC 2971", file: "imapserver/id.go", test: "login.txt imapserver/cut_test.go:TestCutTold"},
	{name: "IDLE", source: "RFC 2177", file: "imapserver/idle.go", test: "two.txt"},
	{name: "IMAPSIEVE=", source: "RFC 6785"},
	{name: "IMAP4rev1", source: "RFC 3501", file: "imapserver/commands.go", test: "mailbox.txt fetch.txt search.txt"},
	{name: "IMAP4rev2", source: "RFC 9051", file: "imapserver/enable.go", test: "rev2.txt"},
	{name: "INPROGRESS", source: "RFC 9585", file: "imapserver/search.go", test: "imapserver/session_test.go:TestProgress"},
	{name: "JMAPACCESS", source: "RFC 9698", why: "there is no JMAP"},
	{name: "LANGUAGE", source: "RFC 5255 §3", file: "imapserver/language.go", test: "i18n.txt"},
	{name: "LIST-EXTENDED", source: "RFC 5258", file: "imapserver/list.go", test: "listext.txt"},
	{name: "LIST-METADATA", source: "RFC 9590", file: "imapserver/list.go imapserver/metadata.go", test: "i18n.txt"},
	{name: "LIST-MYRIGHTS", source: "RFC 8440", file: "imapserver/list.go imapserver/myrights.go", test: "acl.txt"},
	{name: "LIST-STATUS", source: "RFC 5819", file: "imapserver/list.go imapserver/status.go", test: "listext.txt"},
	{name: "LITERAL+", source: "RFC 7888 §3", file: "imapwire/decoder.go", test: "append.txt"},
	{name: "LITERAL-", source: "RFC 7888 §5", file: "imapwire/decoder.go", test: "imapserver/session_test.go:TestLimits"},
	{name: "LOGIN-REFERRALS", source: "RFC 2221"},
	{name: "LOGINDISABLED", source: "RFC 3501 §6.2.3", file: "imapserver/capability.go", test: "imapserver/session_test.go:TestNoPrivacy"},
	{name: "MAILBOX-REFERRALS", source: "RFC 2193"},
	{name: "MESSAGELIMIT=", source: "RFC 9738", file: "imapserver/messagelimit.go", test: "messagelimit.txt", key: "imap.message_limit"},
	{name: "METADATA", source: "RFC 5464", file: "imapserver/metadata.go store/metadata.go", test: "metadata.txt"},
	{name: "METADATA-SERVER", source: "RFC 5464", why: "METADATA is it and more"},
	{name: "MOVE", source: "RFC 6851", file: "imapserver/move.go", test: "copy.txt"},
	{name: "MULTIAPPEND", source: "RFC 3502", file: "imapserver/append.go", test: "appendext.txt"},
	{name: "MULTISEARCH", source: "RFC 7377", file: "imapserver/multisearch.go", test: "multisearch.txt"},
	{name: "NAMESPACE", source: "RFC 2342", file: "imapserver/namespace.go", test: "login.txt"},
	{name: "NOTIFY", source: "RFC 5465", file: "imapserver/notify.go", test: "notify.txt"},
	{name: "OBJECTID", source: "RFC 8474", file: "store/objectid.go imapserver/fetch_items.go", test: "esearch.txt gmail.txt"},
	{name: "PARTIAL", source: "RFC 9394", file: "imapserver/esearch.go imapserver/fetch.go", test: "esearch.txt"},
	{name: "PREVIEW", source: "RFC 8970", file: "imapserver/preview.go message/preview.go", test: "binary.txt"},
	{name: "QRESYNC", source: "RFC 7162 §3.2", file: "imapserver/resync.go store/vanished.go", test: "qresync.txt"},
	{name: "QUOTA", source: "RFC 9208", file: "imapserver/quota.go imapserver/getquota.go imapserver/getquotaroot.go store/quota.go", test: "quota.txt store/quota_test.go:TestQuota"},
	{name: "QUOTA=RES-ANNOTATION-STORAGE", source: "RFC 9208 §5.4"},
	{name: "QUOTA=RES-MAILBOX", source: "RFC 9208 §5.3"},
	{name: "QUOTA=RES-MESSAGE", source: "RFC 9208 §5.2", file: "imapserver/quota.go imapserver/status.go", test: "quota.txt"},
	{name: "QUOTA=RES-STORAGE", source: "RFC 9208 §5.1", file: "imapserver/quota.go imapserver/status.go", test: "quota.txt imapserver/quota_test.go:TestInUnits"},
	{name: "QUOTASET", source: "RFC 9208 §4.1", why: "limits are set on the server, by `angarium quota set`"},
	{name: "REPLACE", source: "RFC 8508", file: "imapserver/replace.go", test: "appendext.txt"},
	{name: "RIGHTS=", source: "RFC 4314 §2.2", file: "mail/rights.go imapserver/capability.go", test: "mail/rights_test.go:TestRightsText acl.txt"},
	{name: "SASL-IR", source: "RFC 4959", file: "imapserver/authenticate.go", test: "login.txt"},
	{name: "SAVEDATE", source: "RFC 8514", file: "imapserver/fetch_items.go search/search.go", test: "esearch.txt"},
	{name: "SAVELIMIT=", source: "RFC 9738", file: "imapserver/messagelimit.go", test: "savelimit.txt", key: "imap.save_limit"},
	{name: "SEARCH=FUZZY", source: "RFC 6203", file: "search/fuzzy.go", test: "fuzzy.txt"},
	{name: "SEARCHRES", source: "RFC 5182", file: "imapserver/esearch.go imapserver/view.go", test: "esearch.txt"},
	{name: "SORT", source: "RFC 5256", file: "imapserver/sort.go search/sort.go", test: "sort.txt"},
	{name: "SORT=DISPLAY", source: "RFC 5957", file: "imapserver/sort.go search/keys.go", test: "sort.txt"},
	{name: "SPECIAL-USE", source: "RFC 6154 §2", file: "imapserver/list.go mail/mailbox.go", test: "listext.txt esearch.txt"},
	{name: "STARTTLS", source: "RFC 3501 §6.2.1", file: "imapserver/starttls.go netserver/conn.go", test: "imapserver/session_test.go:TestNoPrivacy"},
	{name: "STATUS=SIZE", source: "RFC 8438", file: "imapserver/status.go", test: "mailbox.txt"},
	{name: "THREAD=ORDEREDSUBJECT", source: "RFC 5256 §3", file: "imapserver/sort.go search/thread.go", test: "sort.txt"},
	{name: "THREAD=REFERENCES", source: "RFC 5256 §3", file: "imapserver/sort.go search/thread.go", test: "sort.txt search/thread_test.go:TestReferences"},
	{name: "UIDBATCHES", source: "RFC 10022", file: "imapserver/uidbatches.go", test: "imapserver/uidbatches_test.go:TestUIDBatches"},
	{name: "UIDONLY", source: "RFC 9586", file: "imapserver/enable.go imapserver/dispatch.go", test: "uidonly.txt"},
	{name: "UIDPLUS", source: "RFC 4315", file: "imapserver/expunge.go imapserver/append.go imapserver/copy.go", test: "copy.txt append.txt"},
	{name: "UNAUTHENTICATE", source: "RFC 8437", file: "imapserver/unauthenticate.go", test: "uidonly.txt"},
	{name: "UNSELECT", source: "RFC 3691", file: "imapserver/unselect.go", test: "copy.txt"},
	{name: "URL-PARTIAL", source: "RFC 5550", file: "imapwire/url.go imapserver/catenate.go imapserver/urlfetch.go", test: "catenate.txt imapserver/urlauth_test.go:TestURLParts"},
	{name: "URLAUTH", source: "RFC 4467", file: "imapserver/genurlauth.go imapserver/urlfetch.go imapserver/resetkey.go store/accesskey.go", test: "urlauth.txt imapserver/urlauth_test.go:TestURLForged"},
	{name: "URLAUTH=BINARY", source: "RFC 5524"},
	{name: "UTF8=ACCEPT", source: "RFC 9755, RFC 6855", file: "imapserver/enable.go imapserver/append.go", test: "appendext.txt"},
	{name: "UTF8=ONLY", source: "RFC 6855 §7", why: "old clients could not log in"},
	{name: "WITHIN", source: "RFC 5032", file: "search/search.go", test: "esearch.txt"},
}

// unregistered are those that servers advertise all the same.
var unregistered = []row{
	{name: "ACL2=UNION", source: "Courier"},
	{name: "DIGEST=SHA1", source: "Cyrus"},
	{name: "NO_ATOMIC_RENAME", source: "Cyrus", why: "RENAME is atomic"},
	{name: "PREVIEW=FUZZY", source: "drafts of RFC 8970", why: "PREVIEW took its place"},
	{name: "SCAN", source: "Cyrus"},
	{name: "SNIPPET=FUZZY", source: "drafts of RFC 8970", why: "PREVIEW took its place"},
	{name: "SORT=MODSEQ", source: "Cyrus"},
	{name: "SORT=UID", source: "Cyrus"},
	{name: "THREAD=REFS", source: "draft-ietf-morg-inthread", file: "imapserver/sort.go search/thread.go", test: "sort.txt search/thread_test.go:TestReferences"},
	{name: "X-CREATEDMODSEQ", source: "Cyrus"},
	{name: "X-GM-EXT-1", source: "Google, IMAP extensions", file: "imapserver/labels.go imapserver/store_labels.go imapwire/query.go", test: "gmail.txt imapwire/query_test.go:TestQuery"},
	{name: "X-QUOTA=", source: "Cyrus"},
	{name: "X-REPLICATION", source: "Cyrus"},
	{name: "X-SIEVE-MAILBOX", source: "Cyrus"},
	{name: "XAPPLEPUSHSERVICE", source: "Apple", file: "imapserver/xapplepushservice.go imapwire/applepush.go store/push.go applepush/sender.go", test: "xapplepushservice.txt imapserver/xapplepushservice_test.go:TestApplePushOff applepush/applepush_test.go:TestPush", key: "apple_push.enabled"},
	{name: "XLIST", source: "Google", file: "imapserver/xlist.go", test: "xlist.txt"},
	{name: "XMOVE", source: "Cyrus", why: "MOVE took its place"},
}
