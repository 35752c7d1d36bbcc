package dynamo

import (
	"slices"
	"strings"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// tableName returns the name in a table's name or ARN. An ARN of another
// region or account names no table here.
func (c *call) tableName(s string) (string, error) {
	if !strings.HasPrefix(s, "arn:") {
		return s, nil
	}
	name, ok := strings.CutPrefix(s, c.arnPrefix())
	if !ok || name == "" || strings.Contains(name, "/") {
		return "", notFound{"Table: " + s}
	}
	return name, nil
}

func (c *call) arnPrefix() string {
	return "arn:aws:dynamodb:" + c.req.Region + ":" + c.req.Account + ":table/"
}

func createTable(c *call, in *CreateTableInput) (output, error) {
	if strings.HasPrefix(in.TableName.V, "arn:") {
		return nil, invalid("A table is created by its name, not by an ARN")
	}
	if err := unsupportedTable(in); err != nil {
		return nil, err
	}
	req := service.CreateTableRequest{
		Invocation:         c.req.Invocation,
		Name:               in.TableName.V,
		Billing:            billingMode(in.BillingMode.V),
		DeletionProtection: in.DeletionProtectionEnabled.V,
		Class:              tableClass(in.TableClass.V),
	}
	if s := in.SSESpecification; s != nil {
		req.KmsKey = s.key()
	}
	for _, a := range in.AttributeDefinitions {
		kind, _ := model.ParseKind(a.AttributeType.V)
		req.Attributes = append(req.Attributes, model.KeyAttr{Name: a.AttributeName.V, Kind: kind})
	}
	for _, k := range in.KeySchema {
		req.KeySchema = append(req.KeySchema, service.KeyElement{Name: k.AttributeName.V, Type: k.KeyType.V})
	}
	if p := in.ProvisionedThroughput; p != nil {
		req.ReadUnits, req.WriteUnits = uint64(p.ReadCapacityUnits.V), uint64(p.WriteCapacityUnits.V)
	}
	for _, t := range in.Tags {
		req.Tags = append(req.Tags, model.Tag{Key: t.Key.V, Value: t.Value.V})
	}
	t, err := c.door.service.CreateTable(c.ctx, &req)
	if err != nil {
		return nil, err
	}
	return &CreateTableOutput{TableDescription: c.describe(t)}, nil
}

// unsupportedTable refuses what Weir would have to ignore.
func unsupportedTable(in *CreateTableInput) error {
	switch {
	case in.LocalSecondaryIndexes, in.GlobalSecondaryIndexes:
		return invalid("Secondary indexes are not supported by Weir")
	case in.StreamSpecification != nil && in.StreamSpecification.StreamEnabled.V:
		return invalid("Streams of tables are not supported by Weir")
	case in.ResourcePolicy:
		return invalid("Resource policies are not supported by Weir")
	case in.OnDemandThroughput:
		return invalid("Limits of on-demand throughput are not supported by Weir")
	case in.GlobalTableSourceArn.Set:
		return invalid("Global tables are not supported by Weir")
	}
	return nil
}

func describeTable(c *call, in *DescribeTableInput) (output, error) {
	t, err := c.table(in.TableName.V)
	if err != nil {
		return nil, err
	}
	desc, err := c.describeWithReplicas(t)
	return &DescribeTableOutput{Table: desc}, err
}

// table returns the table of that name or ARN.
func (c *call) table(nameOrARN string) (*service.Table, error) {
	name, err := c.tableName(nameOrARN)
	if err != nil {
		return nil, err
	}
	t, err := c.door.service.DescribeTable(c.ctx, name)
	return t, missingTable(name, err)
}

// maxTableNames is how many names one ListTables answers with at most.
const maxTableNames = 100

func listTables(c *call, in *ListTablesInput) (output, error) {
	res, err := c.door.service.ListTables(c.ctx, &service.ListTablesRequest{
		Start: in.ExclusiveStartTableName.V, Limit: int(in.Limit.Or(maxTableNames)),
	})
	if err != nil {
		return nil, err
	}
	out := &ListTablesOutput{TableNames: res.Names}
	if out.TableNames == nil {
		out.TableNames = []string{}
	}
	if res.Last != "" {
		out.LastEvaluatedTableName = awsapi.Some(res.Last)
	}
	return out, nil
}

func deleteTable(c *call, in *DeleteTableInput) (output, error) {
	name, err := c.tableName(in.TableName.V)
	if err != nil {
		return nil, err
	}
	t, err := c.door.service.DeleteTable(c.ctx, name)
	if err != nil {
		return nil, missingTable(name, err)
	}
	desc := c.describe(t)
	desc.TableStatus = awsapi.Some("DELETING")
	return &DeleteTableOutput{TableDescription: desc}, nil
}

func updateTable(c *call, in *UpdateTableInput) (output, error) {
	switch {
	case in.GlobalSecondaryIndexUpdates:
		return nil, invalid("Secondary indexes are not supported by Weir")
	case in.GlobalTableWitnessUpdates, in.MultiRegionConsistency.V == "STRONG":
		return nil, invalid("Multi-Region strong consistency is not supported by Weir")
	case in.StreamSpecification != nil && in.StreamSpecification.StreamEnabled.V:
		return nil, invalid("Streams of tables are not supported by Weir")
	case in.OnDemandThroughput:
		return nil, invalid("Limits of on-demand throughput are not supported by Weir")
	}
	name, err := c.tableName(in.TableName.V)
	if err != nil {
		return nil, err
	}
	if len(in.ReplicaUpdates) > 0 {
		return c.updateReplicas(name, in)
	}
	req := service.UpdateTableRequest{Name: name}
	if in.BillingMode.Set {
		mode := billingMode(in.BillingMode.V)
		req.Billing = &mode
	}
	if p := in.ProvisionedThroughput; p != nil {
		read, write := uint64(p.ReadCapacityUnits.V), uint64(p.WriteCapacityUnits.V)
		req.ReadUnits, req.WriteUnits = &read, &write
	}
	if in.DeletionProtectionEnabled.Set {
		req.DeletionProtection = &in.DeletionProtectionEnabled.V
	}
	if in.TableClass.Set {
		class := tableClass(in.TableClass.V)
		req.Class = &class
	}
	if s := in.SSESpecification; s != nil {
		key := s.key()
		req.KmsKey = &key
	}
	t, err := c.door.service.UpdateTable(c.ctx, &req)
	if err != nil {
		return nil, missingTable(name, err)
	}
	desc, err := c.describeWithReplicas(t)
	return &UpdateTableOutput{TableDescription: desc}, err
}

func billingMode(s string) model.BillingMode {
	switch s {
	case "PAY_PER_REQUEST":
		return model.BillingPerRequest
	case "PROVISIONED":
		return model.BillingProvisioned
	}
	return 0
}

func tableClass(s string) model.TableClass {
	switch s {
	case "STANDARD_INFREQUENT_ACCESS":
		return model.ClassInfrequentAccess
	case "STANDARD":
		return model.ClassStandard
	}
	return 0
}

// describe is the table as AWS describes it.
func (c *call) describe(t *service.Table) *TableDescription {
	d := &TableDescription{
		TableName:                 awsapi.Some(t.Name),
		TableStatus:               awsapi.Some("ACTIVE"),
		CreationDateTime:          awsapi.Some(t.CreatedMs),
		TableSizeBytes:            awsapi.Some(t.SizeBytes),
		ItemCount:                 awsapi.Some(t.ItemCount),
		TableArn:                  awsapi.Some(c.arnPrefix() + t.Name),
		TableId:                   awsapi.Some(t.Spec.TableID),
		DeletionProtectionEnabled: awsapi.Some(t.Spec.DeletionProtection),
		ProvisionedThroughput: &ProvisionedThroughputDescription{
			NumberOfDecreasesToday: awsapi.Some[int64](0),
			ReadCapacityUnits:      awsapi.Some(int64(t.Spec.ReadUnits)),
			WriteCapacityUnits:     awsapi.Some(int64(t.Spec.WriteUnits)),
		},
	}
	if t.Deleting {
		d.TableStatus = awsapi.Some("DELETING")
	}
	for _, a := range t.Spec.Attributes {
		d.AttributeDefinitions = append(d.AttributeDefinitions, AttributeDefinition{
			AttributeName: awsapi.Some(a.Name), AttributeType: awsapi.Some(a.Kind.String())})
	}
	d.KeySchema = append(d.KeySchema, KeySchemaElement{
		AttributeName: awsapi.Some(t.Spec.Partition.Name), KeyType: awsapi.Some("HASH")})
	if t.Spec.HasSort() {
		d.KeySchema = append(d.KeySchema, KeySchemaElement{
			AttributeName: awsapi.Some(t.Spec.Sort.Name), KeyType: awsapi.Some("RANGE")})
	}
	if t.Spec.Billing == model.BillingPerRequest {
		d.BillingModeSummary = &BillingModeSummary{
			BillingMode:                       awsapi.Some("PAY_PER_REQUEST"),
			LastUpdateToPayPerRequestDateTime: awsapi.Some(t.CreatedMs),
		}
	}
	if t.Spec.Class == model.ClassInfrequentAccess {
		d.TableClassSummary = &TableClassSummary{TableClass: awsapi.Some("STANDARD_INFREQUENT_ACCESS")}
	}
	if t.Spec.KmsKey != "" {
		d.SSEDescription = &SSEDescription{
			Status: awsapi.Some("ENABLED"), SSEType: awsapi.Some("KMS"), KMSMasterKeyArn: awsapi.Some(c.keyARN(t.Spec.KmsKey))}
	}
	return d
}

// awsManagedKey is what DynamoDB encrypts with when no other key is named.
const awsManagedKey = "alias/aws/dynamodb"

// key is the KMS key that a table shall be encrypted with; "" is DynamoDB's own
// one, which descriptions do not show.
func (s *SSESpecification) key() string {
	if !s.Enabled.V {
		return ""
	}
	return s.KMSMasterKeyId.Or(awsManagedKey)
}

// keyARN is the ARN of a KMS key that is named by its id, its alias or its ARN.
func (c *call) keyARN(key string) string {
	if strings.HasPrefix(key, "arn:") {
		return key
	}
	if !strings.HasPrefix(key, "alias/") {
		key = "key/" + key
	}
	return "arn:aws:kms:" + c.req.Region + ":" + c.req.Account + ":" + key
}

// describeTimeToLive says that items do not expire, which tools ask before
// they go on.
func describeTimeToLive(c *call, in *DescribeTimeToLiveInput) (output, error) {
	if _, err := c.table(in.TableName.V); err != nil {
		return nil, err
	}
	return &DescribeTimeToLiveOutput{TimeToLiveDescription: &TimeToLiveDescription{TimeToLiveStatus: awsapi.Some("DISABLED")}}, nil
}

func describeContinuousBackups(c *call, in *DescribeContinuousBackupsInput) (output, error) {
	if _, err := c.table(in.TableName.V); err != nil {
		return nil, err
	}
	return &DescribeContinuousBackupsOutput{ContinuousBackupsDescription: &ContinuousBackupsDescription{
		ContinuousBackupsStatus:        awsapi.Some("DISABLED"),
		PointInTimeRecoveryDescription: &PointInTimeRecoveryDescription{PointInTimeRecoveryStatus: awsapi.Some("DISABLED")},
	}}, nil
}

func listTagsOfResource(c *call, in *ListTagsOfResourceInput) (output, error) {
	name, ok := strings.CutPrefix(in.ResourceArn.V, c.arnPrefix())
	if !ok {
		if !strings.HasPrefix(in.ResourceArn.V, "arn:") {
			return nil, badParameter("Invalid resource ARN: %s", in.ResourceArn.V)
		}
		return nil, notFound{"ResourceArn: " + in.ResourceArn.V}
	}
	t, err := c.table(name)
	if err != nil {
		return nil, err
	}
	out := &ListTagsOfResourceOutput{Tags: []Tag{}}
	for _, tag := range t.Spec.Tags {
		out.Tags = append(out.Tags, Tag{Key: awsapi.Some(tag.Key), Value: awsapi.Some(tag.Value)})
	}
	return out, nil
}

// noLimit is how DescribeLimits says that capacity is not limited: the
// largest whole number that every client's JSON can hold.
const noLimit = 1<<53 - 1

func describeLimits(*call, *DescribeLimitsInput) (output, error) {
	none := awsapi.Some[int64](noLimit)
	return &DescribeLimitsOutput{AccountMaxReadCapacityUnits: none, AccountMaxWriteCapacityUnits: none,
		TableMaxReadCapacityUnits: none, TableMaxWriteCapacityUnits: none}, nil
}

// endpointMinutes is how long clients may keep the answer of
// DescribeEndpoints; AWS says a day.
const endpointMinutes = 1440

func describeEndpoints(c *call, _ *DescribeEndpointsRequest) (output, error) {
	return &DescribeEndpointsResponse{Endpoints: []Endpoint{{
		Address: awsapi.Some(c.req.Host), CachePeriodInMinutes: awsapi.Some[int64](endpointMinutes)}}}, nil
}

// names of capacity reports.
func wantsCapacity(mode string) bool { return mode == "TOTAL" || mode == "INDEXES" }

// capacity is the report of consumed units that the client asked for, or nil.
func capacity(mode, table string, units float64) *ConsumedCapacity {
	if !wantsCapacity(mode) {
		return nil
	}
	c := &ConsumedCapacity{TableName: awsapi.Some(table), CapacityUnits: awsapi.Some(units)}
	if mode == "INDEXES" {
		c.Table = &Capacity{CapacityUnits: awsapi.Some(units)}
	}
	return c
}

// capacities are the reports of a batch, or nil.
func capacities(mode string, units []service.TableUnits) []ConsumedCapacity {
	if !wantsCapacity(mode) {
		return nil
	}
	list := make([]ConsumedCapacity, 0, len(units))
	for _, u := range units {
		list = append(list, *capacity(mode, u.Table, u.Units))
	}
	return slices.Clip(list)
}
