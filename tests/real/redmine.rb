# What the tests need there: the interface switched on, a Markdown server, an administrator with a key, one more who plays the people, fields.
Setting.rest_api_enabled = '1'
Setting.text_formatting = 'common_mark'
Setting.notified_events = []

admin = User.find_by_login('admin')
admin.must_change_passwd = false
admin.mail = 'handoff@example.com'
admin.save!(validate: false)

def person(login, first, mail, admin: false)
  user = User.new(firstname: first, lastname: 'Lee', mail: mail, language: 'en', admin: admin)
  user.login = login
  user.password = "password-of-#{login}"
  user.save!
  user
end

ann = person('ann', 'Ann', 'ann@example.com')
bob = person('bob', 'Bob', 'bob@example.com')
person('joann', 'Joann', 'joann@example.com')
eve = person('eve', 'Eve', 'eve@example.com', admin: true)

stone = Tracker.create!(name: 'Milestone', default_status: IssueStatus.sorted.first, core_fields: Tracker.sorted.first.core_fields)
WorkflowRule.where(tracker_id: Tracker.sorted.first.id).each { |rule| rule.dup.update!(tracker_id: stone.id) }

trackers = Tracker.pluck(:id)
common = { visible: true, is_for_all: true, tracker_ids: trackers }
key = IssueCustomField.create!(name: 'External ID', field_format: 'string', is_filter: true, **common)
IssueCustomField.create!(name: 'Customer tier', field_format: 'list', possible_values: ['VIP', 'Key account', 'Standard'], **common)
IssueCustomField.create!(name: 'Value', field_format: 'float', **common)
IssueCustomField.create!(name: 'For bugs', field_format: 'string', visible: true, is_for_all: true, tracker_ids: [Tracker.sorted.first.id])
IssueCustomField.create!(name: 'Sponsor', field_format: 'user', **common)
IssueCustomField.create!(name: 'Regions', field_format: 'list', multiple: true, possible_values: %w[EMEA APAC Americas], **common)
IssueCustomField.create!(name: 'Signed', field_format: 'date', **common)
{ 'Seats' => 'int', 'Approved' => 'bool', 'Remarks' => 'text', 'Page' => 'link' }.each do |name, format|
  IssueCustomField.create!(name: name, field_format: format, **common)
end
IssueCustomField.create!(name: 'Elsewhere', field_format: 'string', visible: true, is_for_all: false, tracker_ids: trackers)
ProjectCustomField.create!(name: 'Customer', field_format: 'string', is_filter: true, visible: true)
ProjectCustomField.create!(name: 'Value', field_format: 'float', visible: true)
ProjectCustomField.create!(name: 'Region', field_format: 'list', possible_values: %w[EMEA APAC Americas], visible: true)

File.write('/tmp/seeded.json', {
  key: admin.api_key, person_key: eve.api_key, ann_key: ann.api_key, users: { ann: ann.id, bob: bob.id, eve: eve.id },
  version: Redmine::VERSION.to_s, key_field: key.id
}.to_json)
