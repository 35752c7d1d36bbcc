package service

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"weir.dev/weir/internal/model"
)

// SQS's limits on policies.
const (
	maxDocumentBytes    = 8 << 10
	maxPolicyStatements = 20
	maxRedriveSources   = 10
)

// parseDocument reads a JSON object with nothing behind it.
func parseDocument(v string) (fields map[string]json.RawMessage, ok bool) {
	if len(v) > maxDocumentBytes || json.Unmarshal([]byte(v), &fields) != nil || fields == nil {
		return nil, false
	}
	return fields, true
}

// setPolicy keeps an access policy. It is held to the grammar of policies, so
// that a wrong one is noticed, and not enforced; an empty one takes it away.
func setPolicy(spec *model.QueueSpec, v string) error {
	spec.Policy = v
	if v == "" {
		return nil
	}
	fields, ok := parseDocument(v)
	if !ok || !only(fields, "Version", "Id", "Statement") || !isText(fields["Id"]) {
		return badAttribute("Policy")
	}
	if version, ok := textOf(fields["Version"]); fields["Version"] != nil && (!ok || version != "2012-10-17" && version != "2008-10-17") {
		return badAttribute("Policy")
	}
	statements, ok := listOf(fields["Statement"])
	if !ok || len(statements) == 0 {
		return badAttribute("Policy")
	}
	if len(statements) > maxPolicyStatements {
		return queueFault(FaultParameter, "%d statements were found in the submitted policy, max allowed is %d", len(statements), maxPolicyStatements)
	}
	for _, s := range statements {
		if !isStatement(s) {
			return badAttribute("Policy")
		}
	}
	return nil
}

// isStatement reports whether a policy's statement has the form that IAM's
// grammar gives it.
func isStatement(raw json.RawMessage) bool {
	fields, ok := parseDocument(string(raw))
	if !ok || !only(fields, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition") {
		return false
	}
	if effect, ok := textOf(fields["Effect"]); !ok || effect != "Allow" && effect != "Deny" {
		return false
	}
	for _, name := range []string{"Principal", "Action", "Resource"} {
		if (fields[name] == nil) == (fields["Not"+name] == nil) { // one of both
			return false
		}
	}
	for _, name := range []string{"Action", "NotAction", "Resource", "NotResource"} {
		list, ok := listOf(fields[name])
		if !ok && fields[name] != nil {
			return false
		}
		for _, item := range list {
			text, ok := textOf(item)
			if !ok || text == "" || strings.HasSuffix(name, "Action") && text != "*" && !hasPrefixFold(text, "sqs:") {
				return false
			}
		}
	}
	return isText(fields["Sid"]) && isPrincipal(fields["Principal"]) && isPrincipal(fields["NotPrincipal"]) && isObject(fields["Condition"])
}

// isPrincipal reports whether a value, if it is there, is "*" or an object.
func isPrincipal(raw json.RawMessage) bool {
	text, ok := textOf(raw)
	return ok && text == "*" || !ok && isObject(raw)
}

// isObject reports whether a value, if it is there, is an object.
func isObject(raw json.RawMessage) bool {
	if raw == nil {
		return true
	}
	_, ok := parseDocument(string(raw))
	return ok
}

// only reports whether an object has no other members than those.
func only(fields map[string]json.RawMessage, names ...string) bool {
	for name := range fields {
		if !slices.Contains(names, name) {
			return false
		}
	}
	return true
}

// textOf is a value that is a text.
func textOf(raw json.RawMessage) (text string, ok bool) {
	return text, len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil
}

// isText reports whether a value, if it is there, is a text.
func isText(raw json.RawMessage) bool {
	_, ok := textOf(raw)
	return ok || raw == nil
}

// listOf is a list's items, or the one item that stands in place of a list.
func listOf(raw json.RawMessage) (list []json.RawMessage, ok bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, false
	}
	if raw[0] != '[' {
		return []json.RawMessage{raw}, true
	}
	return list, json.Unmarshal(raw, &list) == nil
}

// redriveAllow is a RedriveAllowPolicy: which queues may use a queue as their
// dead-letter queue.
type redriveAllow struct {
	Permission string   `json:"redrivePermission"`
	Sources    []string `json:"sourceQueueArns"`
}

// setRedriveAllow keeps a RedriveAllowPolicy; an empty one takes it away, and
// then every queue is allowed.
func setRedriveAllow(spec *model.QueueSpec, v string) error {
	spec.RedriveAllowPolicy = v
	if v == "" {
		return nil
	}
	bad := func(reason string) error { return badParameter("RedriveAllowPolicy", shortDocument(v), reason) }
	fields, ok := parseDocument(v)
	if !ok {
		return bad("Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.")
	}
	if !only(fields, "redrivePermission", "sourceQueueArns") {
		return bad("Only following attributes are supported: [redrivePermission, sourceQueueArns].")
	}
	if fields["redrivePermission"] == nil {
		return bad("Redrive allow policy does not contain mandatory attribute: redrivePermission.")
	}
	var p redriveAllow
	if json.Unmarshal([]byte(v), &p) != nil {
		return bad("Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.")
	}
	switch p.Permission {
	case "allowAll", "denyAll":
		if fields["sourceQueueArns"] != nil {
			return bad("The sourceQueueArns parameter can be specified only when the redrivePermission parameter is set to byQueue.")
		}
		return nil
	case "byQueue":
	default:
		return bad("Invalid value for redrivePermission: " + p.Permission + ", valid values are allowAll, denyAll and byQueue.")
	}
	if len(p.Sources) < 1 || len(p.Sources) > maxRedriveSources {
		return bad("The sourceQueueArns parameter must have 1 to 10 queues when the redrivePermission parameter is set to byQueue.")
	}
	for _, arn := range p.Sources {
		if parts := strings.Split(arn, ":"); len(parts) != 6 || parts[0] != "arn" || parts[2] != "sqs" || parts[5] == "" {
			return bad("Invalid value for sourceQueueArns.")
		}
	}
	return nil
}

// redriveAllowed reports whether a queue lets the queue of that name use it as
// its dead-letter queue. Of an ARN the queue's name counts: a cluster is one
// account and region.
func redriveAllowed(target *model.QueueSpec, source string) bool {
	if target.RedriveAllowPolicy == "" {
		return true
	}
	var p redriveAllow
	if json.Unmarshal([]byte(target.RedriveAllowPolicy), &p) != nil {
		return false // it was checked when it was set
	}
	return p.Permission == "allowAll" || slices.ContainsFunc(p.Sources, func(arn string) bool { return nameOfARN(arn) == source })
}

// nameOfARN is the queue's name in its ARN.
func nameOfARN(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }

// shortDocument is a refused document as an error repeats it.
func shortDocument(v string) string {
	if len(v) > maxDocumentBytes {
		return v[:maxDocumentBytes] + "..."
	}
	return v
}
