"""Which function comes from which part of the source: read off Linux 6.12.

`/proc/kallsyms` names no files. For the parts that are about SVE the names are complete;
for the others they are the global ones, which do as marks: objects keep the order in
which they were linked, so what stands between two marks comes from the same place.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


NVHE = "hyp nVHE"
FPSIMD = "FPSIMD"

SOURCES: dict[str, tuple[str, ...]] = {
    FPSIMD: ("arch/arm64/kernel/fpsimd.c", "entry-fpsimd.S", "arch/arm64/kvm/fpsimd.c"),
    "guest.c": ("arch/arm64/kvm/guest.c",),
    "reset.c": ("arch/arm64/kvm/reset.c",),
    "arm.c": ("arch/arm64/kvm/arm.c",),
    "sys_regs.c": ("arch/arm64/kvm/sys_regs.c", "vgic-sys-reg-v3.c"),
    "mmu": ("arch/arm64/kvm/mmu.c",),
    "virt/kvm": ("virt/kvm/*.c",),
    "hyp": ("arch/arm64/kvm/hyp/*", "arch/arm64/kvm/hyp/vhe/*"),
    NVHE: ("arch/arm64/kvm/hyp/nvhe/*", "arch/arm64/kvm/hyp/*"),
    "other": ("arch/arm64/kvm/*.c", "arch/arm64/kvm/vgic/*.c"),
}
"""Area -> the files of arm64's KVM and FPSIMD code it stands for, in the order shown."""

NAMES: dict[str, frozenset[str]] = {
    "FPSIMD": _names(
        """
        __efi_fpsimd_begin __efi_fpsimd_end cpu_enable_fa64 cpu_enable_fpmr cpu_enable_fpsimd
        cpu_enable_sme cpu_enable_sme2 cpu_enable_sve do_fpsimd_acc do_fpsimd_exc do_sme_acc
        do_sve_acc find_supported_vector_length fpsimd_bind_state_to_cpu fpsimd_bind_task_to_cpu
        fpsimd_cpu_dead fpsimd_cpu_pm_notifier fpsimd_flush_cpu_state fpsimd_flush_task_state
        fpsimd_flush_thread fpsimd_flush_thread_vl fpsimd_force_sync_to_sve fpsimd_load_state
        fpsimd_preserve_current_state fpsimd_release_task fpsimd_restore_current_state
        fpsimd_save_and_flush_cpu_state fpsimd_save_state fpsimd_save_user_state
        fpsimd_signal_preserve_current_state fpsimd_sync_to_sve fpsimd_thread_switch
        fpsimd_to_sve fpsimd_update_current_state get_cpu_fpsimd_context kernel_neon_begin
        kernel_neon_end kvm_arch_vcpu_ctxflush_fp kvm_arch_vcpu_ctxsync_fp kvm_arch_vcpu_load_fp
        kvm_arch_vcpu_put_fp kvm_arch_vcpu_run_map_fp put_cpu_fpsimd_context sme_alloc
        sme_get_current_vl sme_set_current_vl sme_suspend_exit sve_alloc sve_flush_live
        sve_get_current_vl sve_get_vl sve_load_state sve_save_state sve_set_current_vl
        sve_set_vq sve_state_size sve_sync_from_fpsimd_zeropad sve_sync_to_fpsimd sve_to_fpsimd
        task_fpsimd_load task_get_vl task_get_vl_onexec task_set_vl task_set_vl_onexec
        vec_prctl_status vec_probe_vqs vec_proc_do_default_vl vec_set_vector_length
        vec_update_vq_map vec_verify_vq_map
        """
    ),
    "guest.c": _names(
        """
        __kvm_arm_vcpu_get_events __kvm_arm_vcpu_set_events copy_core_reg_indices core_reg_addr
        core_reg_size_from_offset kvm_arch_vcpu_ioctl_get_fpu kvm_arch_vcpu_ioctl_get_regs
        kvm_arch_vcpu_ioctl_get_sregs kvm_arch_vcpu_ioctl_set_fpu
        kvm_arch_vcpu_ioctl_set_guest_debug kvm_arch_vcpu_ioctl_set_regs
        kvm_arch_vcpu_ioctl_set_sregs kvm_arch_vcpu_ioctl_translate kvm_arm_copy_reg_indices
        kvm_arm_get_reg kvm_arm_num_regs kvm_arm_set_reg kvm_arm_vcpu_arch_get_attr
        kvm_arm_vcpu_arch_has_attr kvm_arm_vcpu_arch_set_attr kvm_target_cpu
        kvm_vm_ioctl_mte_copy_tags sve_reg_to_region
        """
    ),
    "reset.c": _names(
        """
        get_kvm_ipa_limit kvm_arm_vcpu_destroy kvm_arm_vcpu_finalize kvm_arm_vcpu_is_finalized
        kvm_get_pa_bits kvm_reset_vcpu
        """
    ),
    "arm.c": _names(
        """
        cpu_hyp_init cpu_hyp_init_context cpu_hyp_uninit cpu_set_hyp_vector
        hyp_init_cpu_pm_notifier is_kvm_arm_initialised kvm_arch_alloc_vm kvm_arch_destroy_vm
        kvm_arch_dev_ioctl kvm_arch_disable_virtualization_cpu
        kvm_arch_enable_virtualization_cpu kvm_arch_has_irq_bypass kvm_arch_init_vm
        kvm_arch_intc_initialized kvm_arch_irq_bypass_add_producer
        kvm_arch_irq_bypass_del_producer kvm_arch_irq_bypass_start kvm_arch_irq_bypass_stop
        kvm_arch_irqchip_in_kernel kvm_arch_sync_dirty_log kvm_arch_vcpu_blocking
        kvm_arch_vcpu_create kvm_arch_vcpu_destroy kvm_arch_vcpu_fault kvm_arch_vcpu_get_ip
        kvm_arch_vcpu_in_kernel kvm_arch_vcpu_ioctl kvm_arch_vcpu_ioctl_get_mpstate
        kvm_arch_vcpu_ioctl_run kvm_arch_vcpu_ioctl_set_mpstate kvm_arch_vcpu_load
        kvm_arch_vcpu_postcreate kvm_arch_vcpu_precreate kvm_arch_vcpu_put
        kvm_arch_vcpu_run_pid_change kvm_arch_vcpu_runnable kvm_arch_vcpu_should_kick
        kvm_arch_vcpu_unblocking kvm_arch_vm_ioctl kvm_arm_halt_guest kvm_arm_vcpu_enter_exit
        kvm_arm_vcpu_power_off kvm_arm_vcpu_stopped kvm_get_mode kvm_has_full_ptr_auth
        kvm_mpidr_to_vcpu kvm_vcpu_wfi kvm_vm_ioctl_check_extension kvm_vm_ioctl_enable_cap
        kvm_vm_ioctl_irq_line lock_all_vcpus pkvm_ext_allowed pkvm_host_sve_state_order
        unlock_all_vcpus unlock_vcpus
        """
    ),
    "sys_regs.c": _names(
        """
        __kvm_read_sanitised_id_reg aa32_id_visibility access_actlr access_arch_timer
        access_ccsidr access_clidr access_cntkctl_el12 access_csselr access_ctr access_dcgsw
        access_dcsw access_elr access_gic_sgi access_gic_sre access_id_reg access_pmceid
        access_pmcnten access_pmcr access_pminten access_pmovs access_pmselr access_pmswinc
        access_pmu_evcntr access_pmu_evtyper access_pmuserenr access_rw access_sp_el1
        access_spsr access_vm_reg access_zcr_el2 attr_to_id bad_redir_trap bad_trap
        bad_vncr_trap check_pmu_access_disabled check_sysreg_table emulate_sys_reg
        fp8_visibility get_bcr get_bvr get_ccsidr get_el2_to_el1_mapping get_gic_ap0r
        get_gic_ap1r get_gic_bpr0 get_gic_bpr1 get_gic_ctlr get_gic_grpen0 get_gic_grpen1
        get_gic_pmr get_gic_sre get_id_reg get_pmcr get_pmreg get_pmu_evcntr get_raz_reg
        get_reg_by_id get_wcr get_wvr handle_alle1is handle_at_s12 handle_at_s1e01
        handle_at_s1e2 handle_ipas2e1is handle_ripas2e1is handle_tlbi_el1 handle_vmalls12e1is
        id_to_sys_reg_desc id_visibility idregs_debug_find idregs_debug_next idregs_debug_show
        idregs_debug_start idregs_debug_stop kvm_arm_copy_sys_reg_indices
        kvm_arm_num_sys_reg_descs kvm_arm_sys_reg_get_reg kvm_arm_sys_reg_set_reg
        kvm_calculate_traps kvm_emulate_cp15_id_reg kvm_finalize_sys_regs kvm_handle_cp10_id
        kvm_handle_cp14_32 kvm_handle_cp14_64 kvm_handle_cp14_load_store kvm_handle_cp15_32
        kvm_handle_cp15_64 kvm_handle_cp_32 kvm_handle_cp_64 kvm_handle_sys_reg
        kvm_read_sanitised_id_reg kvm_reset_sys_regs kvm_set_vm_id_reg
        kvm_supported_tlbi_ipas2_op kvm_sys_reg_get_user kvm_sys_reg_set_user
        kvm_sys_regs_create_debugfs kvm_vm_ioctl_get_reg_writable_masks mte_visibility
        perform_access pmu_visibility ptrauth_visibility raz_visibility read_from_write_only
        read_id_reg read_sanitised_id_aa64dfr0_el1 read_sanitised_id_aa64pfr0_el1
        read_sanitised_id_dfr0_el1 reset_actlr reset_amair_el1 reset_bcr reset_bvr reset_clidr
        reset_hcr reset_mpidr reset_pmcr reset_pmevcntr reset_pmevtyper reset_pmselr
        reset_pmu_reg reset_wcr reset_wvr s1poe_visibility s2_mmu_tlbi_s1e1 s2_mmu_unmap_ipa
        s2_mmu_unmap_range set_bcr set_bvr set_clidr set_gic_ap0r set_gic_ap1r set_gic_bpr0
        set_gic_bpr1 set_gic_ctlr set_gic_grpen0 set_gic_grpen1 set_gic_pmr set_gic_sre
        set_id_aa64dfr0_el1 set_id_aa64pfr0_el1 set_id_aa64pfr1_el1 set_id_dfr0_el1 set_id_reg
        set_oslsr_el1 set_pmcr set_pmreg set_wcr set_wi_reg set_wvr sme_visibility
        sve_el2_visibility sve_visibility trap_bcr trap_bvr trap_dbgauthstatus_el1 trap_dbgdidr
        trap_debug_regs trap_loregion trap_oslar_el1 trap_oslsr_el1 trap_raz_wi trap_wcr
        trap_wvr undef_access unhandled_cp_access vcpu_read_sys_reg vcpu_write_sys_reg
        vgic_v3_cpu_sysregs_uaccess vgic_v3_has_cpu_sysregs_attr walk_sys_regs
        write_to_read_only
        """
    ),
    "mmu": _names(
        """
        __create_hyp_mappings __create_hyp_private_mapping __unmap_stage2_range
        clean_dcache_guest_page create_hyp_exec_mappings create_hyp_io_mappings
        create_hyp_mappings create_hyp_stack fault_supports_stage2_huge_mapping
        free_hyp_memcache hyp_alloc_private_va_range invalidate_icache_guest_page kvm_age_gfn
        kvm_arch_commit_memory_region kvm_arch_flush_remote_tlbs
        kvm_arch_flush_remote_tlbs_range kvm_arch_flush_shadow_memslot kvm_arch_free_memslot
        kvm_arch_memslots_updated kvm_arch_mmu_enable_log_dirty_pt_masked
        kvm_arch_prepare_memory_region kvm_free_stage2_pgd kvm_get_idmap_vector
        kvm_handle_guest_abort kvm_host_get_page kvm_host_owns_hyp_mappings kvm_host_pa
        kvm_host_page_count kvm_host_put_page kvm_host_va kvm_hyp_zalloc_page
        kvm_init_stage2_mmu kvm_mmu_get_httbr kvm_mmu_split_huge_pages kvm_phys_addr_ioremap
        kvm_s2_free_pages_exact kvm_s2_put_page kvm_s2_zalloc_pages_exact kvm_set_way_flush
        kvm_share_hyp kvm_stage2_flush_range kvm_stage2_unmap_range kvm_stage2_wp_range
        kvm_test_age_gfn kvm_toggle_cache kvm_uninit_stage2_mmu kvm_unmap_gfn_range
        kvm_unshare_hyp sanitise_mte_tags stage2_apply_range stage2_flush_vm
        stage2_free_unlinked_table stage2_free_unlinked_table_rcu_cb stage2_memcache_zalloc_page
        stage2_unmap_vm topup_hyp_memcache unshare_pfn_hyp user_mem_abort
        """
    ),
    "virt/kvm": _names(
        """
        __gfn_to_pfn_memslot __kvm_mmu_topup_memory_cache __kvm_set_memory_region file_is_kvm
        gfn_to_hva gfn_to_hva_memslot gfn_to_hva_memslot_prot gfn_to_hva_prot gfn_to_memslot
        gfn_to_page gfn_to_page_many_atomic gfn_to_pfn gfn_to_pfn_memslot
        gfn_to_pfn_memslot_atomic gfn_to_pfn_prot hva_to_pfn kvm_are_all_memslots_empty
        kvm_clear_guest kvm_coalesced_mmio_free kvm_coalesced_mmio_init kvm_destroy_vcpus
        kvm_device_from_filp kvm_dirty_ring_alloc kvm_dirty_ring_check_request
        kvm_dirty_ring_free kvm_dirty_ring_get_page kvm_dirty_ring_get_rsvd_entries
        kvm_dirty_ring_push kvm_dirty_ring_reset kvm_eventfd_init kvm_exit kvm_flush_remote_tlbs
        kvm_flush_remote_tlbs_memslot kvm_flush_remote_tlbs_range kvm_free_irq_routing
        kvm_get_kvm kvm_get_kvm_safe kvm_get_running_vcpu kvm_get_running_vcpus
        kvm_gfn_to_hva_cache_init kvm_gmem_bind kvm_gmem_create kvm_gmem_get_pfn kvm_gmem_init
        kvm_gmem_unbind kvm_host_page_size kvm_init kvm_init_irq_routing kvm_io_bus_get_dev
        kvm_io_bus_read kvm_io_bus_register_dev kvm_io_bus_unregister_dev kvm_io_bus_write
        kvm_io_bus_write_cookie kvm_ioeventfd kvm_irq_has_notifier kvm_irq_map_chip_pin
        kvm_irq_map_gsi kvm_irq_routing_update kvm_irqfd kvm_irqfd_exit kvm_irqfd_init
        kvm_irqfd_release kvm_is_visible_gfn kvm_is_zone_device_page kvm_make_all_cpus_request
        kvm_make_vcpus_request_mask kvm_mmu_free_memory_cache kvm_mmu_invalidate_begin
        kvm_mmu_invalidate_end kvm_mmu_invalidate_range_add kvm_mmu_memory_cache_alloc
        kvm_mmu_memory_cache_nr_free_objects kvm_mmu_topup_memory_cache kvm_mmu_unmap_gfn_range
        kvm_notify_acked_gsi kvm_notify_acked_irq kvm_notify_irqfd_resampler
        kvm_pfn_to_refcounted_page kvm_put_kvm kvm_put_kvm_no_destroy kvm_read_guest
        kvm_read_guest_cached kvm_read_guest_offset_cached kvm_read_guest_page
        kvm_register_device_ops kvm_register_irq_ack_notifier kvm_register_perf_callbacks
        kvm_release_page_clean kvm_release_page_dirty kvm_release_pfn kvm_release_pfn_clean
        kvm_release_pfn_dirty kvm_send_userspace_msi kvm_set_irq kvm_set_irq_routing
        kvm_set_memory_region kvm_set_pfn_accessed kvm_set_pfn_dirty kvm_sigset_activate
        kvm_sigset_deactivate kvm_stats_read kvm_unregister_device_ops
        kvm_unregister_irq_ack_notifier kvm_unregister_perf_callbacks kvm_use_dirty_bitmap
        kvm_vcpu_block kvm_vcpu_gfn_to_hva kvm_vcpu_gfn_to_hva_prot kvm_vcpu_gfn_to_memslot
        kvm_vcpu_halt kvm_vcpu_is_visible_gfn kvm_vcpu_kick kvm_vcpu_map
        kvm_vcpu_mark_page_dirty kvm_vcpu_on_spin kvm_vcpu_read_guest kvm_vcpu_read_guest_atomic
        kvm_vcpu_read_guest_page kvm_vcpu_unmap kvm_vcpu_wake_up kvm_vcpu_write_guest
        kvm_vcpu_write_guest_page kvm_vcpu_yield_to kvm_vfio_ops_exit kvm_vfio_ops_init
        kvm_vm_ioctl_register_coalesced_mmio kvm_vm_ioctl_unregister_coalesced_mmio
        kvm_write_guest kvm_write_guest_cached kvm_write_guest_offset_cached
        kvm_write_guest_page mark_page_dirty mark_page_dirty_in_slot vcpu_load vcpu_put
        """
    ),
    "hyp": _names(
        """
        __bp_harden_hyp_vecs __debug_switch_to_guest __debug_switch_to_host
        __fpsimd_restore_state __fpsimd_save_state __gic_v3_get_lr __gic_v3_set_lr __guest_enter
        __guest_exit __guest_exit_panic __guest_exit_restore_elr_and_panic __kvm_adjust_pc
        __kvm_flush_cpu_context __kvm_flush_vm_context __kvm_get_mdcr_el2 __kvm_hyp_vector
        __kvm_pgtable_stage2_init __kvm_timer_set_cntvoff __kvm_tlb_flush_vmid
        __kvm_tlb_flush_vmid_ipa __kvm_tlb_flush_vmid_ipa_nsh __kvm_tlb_flush_vmid_range
        __kvm_tlbi_s1e2 __kvm_vcpu_run __sve_restore_state __sve_save_state
        __vcpu_load_switch_sysregs __vcpu_put_switch_sysregs __vgic_v2_perform_cpuif_access
        __vgic_v3_activate_traps __vgic_v3_deactivate_traps __vgic_v3_get_gic_config
        __vgic_v3_init_lrs __vgic_v3_perform_cpuif_access __vgic_v3_read_vmcr
        __vgic_v3_restore_aprs __vgic_v3_restore_state __vgic_v3_restore_vmcr_aprs
        __vgic_v3_save_aprs __vgic_v3_save_state __vgic_v3_save_vmcr_aprs __vgic_v3_write_vmcr
        hyp_panic kvm_condition_valid32 kvm_get_vtcr kvm_pgtable_get_leaf
        kvm_pgtable_hyp_destroy kvm_pgtable_hyp_init kvm_pgtable_hyp_map
        kvm_pgtable_hyp_pte_prot kvm_pgtable_hyp_unmap kvm_pgtable_stage2_create_unlinked
        kvm_pgtable_stage2_destroy kvm_pgtable_stage2_flush kvm_pgtable_stage2_free_unlinked
        kvm_pgtable_stage2_map kvm_pgtable_stage2_mkyoung kvm_pgtable_stage2_pgd_size
        kvm_pgtable_stage2_pte_prot kvm_pgtable_stage2_relax_perms kvm_pgtable_stage2_set_owner
        kvm_pgtable_stage2_split kvm_pgtable_stage2_test_clear_young kvm_pgtable_stage2_unmap
        kvm_pgtable_stage2_wrprotect kvm_pgtable_walk kvm_skip_instr32 kvm_tlb_flush_vmid_range
        kvm_unexpected_el2_exception kvm_vcpu_load_vhe kvm_vcpu_put_vhe
        sysreg_restore_guest_state_vhe sysreg_restore_host_state_vhe sysreg_save_guest_state_vhe
        sysreg_save_host_state_vhe
        """
    ),
    "other": _names(
        """
        __kvm_at_s12 __kvm_at_s1e01 __kvm_at_s1e2 check_nested_vcpu_requests
        compute_tlb_inval_range extract_bytes forward_smc_trap get_timer_map handle_exit
        handle_exit_early io_mem_abort kvm_arch_flush_shadow_all kvm_arch_set_irq_inatomic
        kvm_arch_timer_get_input_level kvm_arch_vcpu_load_debug_state_flags
        kvm_arch_vcpu_put_debug_state_flags kvm_arm_clear_debug kvm_arm_copy_fw_reg_indices
        kvm_arm_get_fw_num_regs kvm_arm_get_fw_reg kvm_arm_init_debug kvm_arm_init_hypercalls
        kvm_arm_pmu_get_max_counters kvm_arm_pmu_get_pmuver_limit kvm_arm_pmu_v3_enable
        kvm_arm_pmu_v3_get_attr kvm_arm_pmu_v3_has_attr kvm_arm_pmu_v3_set_attr
        kvm_arm_pvtime_get_attr kvm_arm_pvtime_has_attr kvm_arm_pvtime_set_attr
        kvm_arm_pvtime_supported kvm_arm_reset_debug_ptr kvm_arm_set_default_pmu
        kvm_arm_set_fw_reg kvm_arm_setup_debug kvm_arm_teardown_hypercalls
        kvm_arm_timer_get_attr kvm_arm_timer_get_reg kvm_arm_timer_has_attr
        kvm_arm_timer_read_sysreg kvm_arm_timer_set_attr kvm_arm_timer_set_reg
        kvm_arm_timer_write_sysreg kvm_arm_vcpu_init_debug kvm_arm_vmid_clear_active
        kvm_arm_vmid_update kvm_auth_eretax kvm_clr_pmu_events kvm_compute_final_ctr_el0
        kvm_cpu_has_pending_timer kvm_emulate_nested_eret kvm_get_kimage_voffset
        kvm_get_pmu_events kvm_handle_mmio_return kvm_host_pmu_init kvm_hypercall_pv_features
        kvm_init_nested kvm_init_nested_s2_mmu kvm_init_nv_sysregs kvm_init_stolen_time
        kvm_inject_dabt kvm_inject_nested_irq kvm_inject_nested_sync kvm_inject_pabt
        kvm_inject_s2_fault kvm_inject_size_fault kvm_inject_undefined kvm_inject_vabt
        kvm_mmio_read_buf kvm_mmio_write_buf kvm_nested_s2_flush kvm_nested_s2_unmap
        kvm_nested_s2_wp kvm_nvhe_dump_backtrace kvm_patch_vector_branch kvm_phys_timer_read
        kvm_pmu_disable_counter_mask kvm_pmu_enable_counter_mask kvm_pmu_evtyper_mask
        kvm_pmu_flush_hwstate kvm_pmu_get_counter_value kvm_pmu_get_pmceid kvm_pmu_handle_pmcr
        kvm_pmu_set_counter_event_type kvm_pmu_set_counter_value kvm_pmu_should_notify_user
        kvm_pmu_software_increment kvm_pmu_sync_hwstate kvm_pmu_update_run
        kvm_pmu_valid_counter_mask kvm_pmu_vcpu_destroy kvm_pmu_vcpu_init kvm_pmu_vcpu_reset
        kvm_psci_call kvm_register_vgic_device kvm_s2_handle_perm_fault
        kvm_s2_mmu_iterate_by_vmid kvm_set_legacy_vgic_v2_addr kvm_set_msi kvm_set_pmu_events
        kvm_set_pmuserenr kvm_set_routing_entry kvm_set_sei_esr kvm_smccc_call_handler
        kvm_timer_cpu_down kvm_timer_cpu_up kvm_timer_enable kvm_timer_init_vhe
        kvm_timer_init_vm kvm_timer_should_notify_user kvm_timer_sync_user kvm_timer_update_run
        kvm_timer_vcpu_init kvm_timer_vcpu_load kvm_timer_vcpu_put kvm_timer_vcpu_reset
        kvm_timer_vcpu_terminate kvm_trng_call kvm_update_stolen_time kvm_vcpu_init_nested
        kvm_vcpu_load_hw_mmu kvm_vcpu_pmu_restore_guest kvm_vcpu_pmu_restore_host
        kvm_vcpu_pmu_resync_el0 kvm_vcpu_put_hw_mmu kvm_vcpu_read_pmcr kvm_vcpu_reload_pmu
        kvm_vcpu_sanitise_vncr_reg kvm_vgic_cpu_down kvm_vgic_cpu_up kvm_vgic_create
        kvm_vgic_destroy kvm_vgic_early_init kvm_vgic_flush_hwstate kvm_vgic_get_map
        kvm_vgic_hyp_init kvm_vgic_init_cpu_hardware kvm_vgic_inject_irq kvm_vgic_load
        kvm_vgic_map_is_active kvm_vgic_map_phys_irq kvm_vgic_map_resources kvm_vgic_put
        kvm_vgic_register_its_device kvm_vgic_reset_mapped_irq kvm_vgic_set_owner
        kvm_vgic_setup_default_irq_routing kvm_vgic_sync_hwstate kvm_vgic_unmap_phys_irq
        kvm_vgic_v4_set_forwarding kvm_vgic_v4_unset_forwarding kvm_vgic_vcpu_destroy
        kvm_vgic_vcpu_init kvm_vgic_vcpu_pending_irq kvm_vm_ioctl_set_counter_offset
        kvm_vm_smccc_has_attr kvm_vm_smccc_set_attr kvm_walk_nested_s2 lookup_s2_mmu
        pkvm_create_hyp_vm pkvm_destroy_hyp_vm pkvm_hyp_vm_is_created pkvm_init_host_vm
        timer_get_ctl timer_get_cval
        triage_sysreg_trap update_64bit_reg vcpu_set_ich_hcr vgic_check_iorange
        vgic_data_host_to_mmio_bus vgic_data_mmio_bus_to_host vgic_debug_destroy vgic_debug_init
        vgic_enable_lpis vgic_find_mmio_region vgic_flush_pending_lpis vgic_get_mmio_region
        vgic_get_phys_line_level vgic_get_vmcr vgic_has_its vgic_init vgic_irq_handle_resampling
        vgic_irq_set_phys_active vgic_irq_set_phys_pending vgic_its_get_abi
        vgic_its_inject_cached_translation vgic_its_inject_msi vgic_its_inv_lpi
        vgic_its_invalidate_all_caches vgic_its_invalidate_cache vgic_its_invall
        vgic_its_resolve_lpi vgic_kick_vcpus vgic_lazy_init vgic_lpis_enabled
        vgic_mmio_read_active vgic_mmio_read_config vgic_mmio_read_enable vgic_mmio_read_group
        vgic_mmio_read_pending vgic_mmio_read_priority vgic_mmio_read_rao vgic_mmio_read_raz
        vgic_mmio_uaccess_write_cactive vgic_mmio_uaccess_write_sactive
        vgic_mmio_uaccess_write_wi vgic_mmio_write_cactive vgic_mmio_write_cenable
        vgic_mmio_write_config vgic_mmio_write_cpending vgic_mmio_write_group
        vgic_mmio_write_priority vgic_mmio_write_sactive vgic_mmio_write_senable
        vgic_mmio_write_spending vgic_mmio_write_wi vgic_msi_to_its
        vgic_read_irq_line_level_info vgic_register_dist_iodev vgic_register_redist_iodev
        vgic_sanitise_field vgic_sanitise_inner_cacheability vgic_sanitise_outer_cacheability
        vgic_sanitise_shareability vgic_set_vmcr vgic_supports_direct_msis vgic_target_oracle
        vgic_uaccess vgic_uaccess_read_active vgic_uaccess_read_pending
        vgic_uaccess_write_cenable vgic_uaccess_write_cpending vgic_uaccess_write_senable
        vgic_uaccess_write_spending vgic_unregister_redist_iodev vgic_v2_clear_lr
        vgic_v2_cpuif_uaccess vgic_v2_dist_uaccess vgic_v2_enable vgic_v2_fold_lr_state
        vgic_v2_get_vmcr vgic_v2_has_attr_regs vgic_v2_init_dist_iodev vgic_v2_init_lrs
        vgic_v2_load vgic_v2_map_resources vgic_v2_parse_attr vgic_v2_populate_lr vgic_v2_probe
        vgic_v2_put vgic_v2_restore_state vgic_v2_save_state vgic_v2_set_underflow
        vgic_v2_set_vmcr vgic_v3_check_base vgic_v3_clear_lr vgic_v3_dispatch_sgi
        vgic_v3_dist_uaccess vgic_v3_enable vgic_v3_fold_lr_state vgic_v3_free_redist_region
        vgic_v3_get_vmcr vgic_v3_has_attr_regs vgic_v3_init_dist_iodev
        vgic_v3_line_level_info_uaccess vgic_v3_load vgic_v3_lpi_sync_pending_status
        vgic_v3_map_resources vgic_v3_parse_attr vgic_v3_populate_lr vgic_v3_probe vgic_v3_put
        vgic_v3_rdist_free_slot vgic_v3_rdist_overlap vgic_v3_rdist_region_from_index
        vgic_v3_redist_uaccess vgic_v3_save_pending_tables vgic_v3_set_redist_base
        vgic_v3_set_underflow vgic_v3_set_vmcr vgic_v4_commit vgic_v4_configure_vsgis
        vgic_v4_get_vlpi_state vgic_v4_init vgic_v4_load vgic_v4_put vgic_v4_request_vpe_irq
        vgic_v4_teardown vgic_write_irq_line_level_info
        """
    ),
}
"""Area -> names of functions. The hypervisor's copy for nVHE is known by its prefix."""
